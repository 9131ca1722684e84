"""Load on servers, lean enough to cost less than what it measures: raw sockets and bytes that are made once."""
