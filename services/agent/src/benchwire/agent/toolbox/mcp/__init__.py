"""The MCP servers that a blueprint names: reached as the operator allows, their tools offered and recorded like all others."""
