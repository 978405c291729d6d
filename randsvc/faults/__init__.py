"""Faults: the closed list of what can be broken on purpose, and what is broken now."""
