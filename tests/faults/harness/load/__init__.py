"""What a busy lab is asked for, all at once, by clients that repeat a call with the same key until they are told."""
