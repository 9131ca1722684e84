"""Flash controllers: each with the rules of its reference manual."""
