"""Finding what was said: the words of the log in a file of their own, and how somebody asks for them."""
