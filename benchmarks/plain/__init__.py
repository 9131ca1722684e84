"""The plain design, for comparison: what one writes for such a service in an afternoon with FastAPI, SQLite and a list of WebSockets.

It is kept honest: uvloop, httptools, one connection to SQLite, prepared statements, indexes where its queries need them. What it lacks is
the point: a log, batches, frames encoded once, readers that do not wait for each other.
"""
