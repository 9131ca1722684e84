"""`benchwire mcp`: the lab's abilities for other agents."""
