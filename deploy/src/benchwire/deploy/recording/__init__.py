"""What a model said in a session or a task, taken from the log as a cassette, and played again without a key."""


class NotRecordable(Exception):
    """There is no cassette in this; the sentence says why."""
