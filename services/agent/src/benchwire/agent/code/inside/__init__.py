"""Programs that run inside the sandbox, each started by its path: they know nothing of Benchwire, only what is installed beside the runner.

``tests`` runs the code that a model wrote; ``source`` only reads it.
"""
