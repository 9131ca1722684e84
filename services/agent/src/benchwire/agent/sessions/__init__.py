"""Sessions: the conversation as the log has it goes on, turn by turn, each call allowed, run once and recorded, until it is done or may not go on."""
