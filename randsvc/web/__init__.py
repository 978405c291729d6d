"""Plumbing for aiohttp applications: problem details, load shedding, JSON bodies, access checks."""
