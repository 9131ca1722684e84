"""Full-text search: ``texts`` (what is text, what is asked), ``index`` (the file), ``indexer`` (fills it behind the projection)."""
