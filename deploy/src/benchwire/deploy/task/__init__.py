"""`benchwire task`: firmware and code that a model makes, followed to their end."""
