"""Routes beside those of single documents, which are in ``app``."""
