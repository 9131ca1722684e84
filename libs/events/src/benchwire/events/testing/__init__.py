"""What tests of every part need: a real nats-server, waiting with a deadline, one instance of each event."""
