"""What `benchwire backup` and `benchwire restore` end with when they do not work."""


class NotDone(Exception):
    """It was not done, and nothing of it is left unless the sentence says so."""
