"""A stand-in for the model's HTTP endpoint that plays cassettes: for the demo without a key, for replays, and for tests.

It speaks the Messages API (streamed and not, text and tool calls, the API's error shape). Blocks that are neither text nor calls are sent in
one piece, as they were recorded. It leaves out: prompt caching, token counting, batches, rate limits, and of course thought: what its cassette
does not hold it does not know.
"""
