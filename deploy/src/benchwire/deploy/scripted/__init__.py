"""A stand-in for the model's HTTP endpoint that answers with prepared turns: for the demo without a key, and for tests.

It speaks the Messages API (streamed and not, text and tool calls, the API's error shape). It leaves out: thinking, images and
documents, prompt caching, token counting, batches, rate limits, and of course thought: what is not in its script it does not know.
"""
