"""The words of the lab and the machinery of its log."""
