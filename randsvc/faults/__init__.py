"""Faults: the closed list of what can break on purpose, and which faults are on."""
