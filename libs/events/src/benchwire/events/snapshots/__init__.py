"""Copies of projections in the object store bucket ``snapshots``: whoever starts without rows goes on from one, instead of from the first event.

A copy is the whole SQLite file of a service, as of one sequence of the log, compressed. Its record says of which projection it is, in which
version of the code, of which log, and up to where. Nothing follows from it that the log does not say too; it saves the reading.
"""
