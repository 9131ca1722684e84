"""Boards: found, leased, flashed, touched; and what flashers outside of the lab report."""
