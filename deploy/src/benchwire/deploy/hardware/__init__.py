"""The commands that work with boards: `devices`, `flash`, `monitor`, `lease` and `jobs`."""
