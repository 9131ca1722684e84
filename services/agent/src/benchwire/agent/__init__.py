"""Runs agents and firmware tasks on the Messages API."""
