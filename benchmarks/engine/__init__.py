"""What the engine gives when nothing of ours is around it: nats-py, SQLite and Litestar by themselves."""
