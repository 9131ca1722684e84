"""Sessions as a whole: out of the log into a file, in again, and on from their middle."""
