"""The window on the lab: HTTP and WebSocket on 8765."""
