"""Code tasks: planned into modules; each is written together with its tests, measured in the sandbox, and tried again until it is good enough."""
