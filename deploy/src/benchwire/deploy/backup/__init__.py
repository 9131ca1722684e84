"""The lab in one file: its log, its artifacts and the places of its queues; and back again into an empty lab."""
