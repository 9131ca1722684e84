"""What readers of sessions are given: lists, places to go on from, and what they missed."""
