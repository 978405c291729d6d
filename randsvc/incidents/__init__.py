"""Incidents: scenarios as data, the runner that causes them on a stack, and the verdict."""
