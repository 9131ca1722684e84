"""A lab as an MCP server: its tasks, sessions, boards, flash jobs and documents, for other agents."""
