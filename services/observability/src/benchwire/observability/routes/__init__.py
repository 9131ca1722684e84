"""Parse, call, answer."""
