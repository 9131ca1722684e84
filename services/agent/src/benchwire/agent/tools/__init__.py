"""What a runner works with: a compiler, a simulator, a judge of output, a shell, files."""
