"""Flash tools: each in a process of its own, behind one interface."""
