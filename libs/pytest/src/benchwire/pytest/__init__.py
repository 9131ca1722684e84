"""pytest fixtures for the boards of a lab."""
