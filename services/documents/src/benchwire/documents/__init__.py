"""Document and artifact store: HTTP and WebSocket on 8766."""
