"""Good clients at full speed with hostile clients next to them: ``python -m benchmarks.soak``."""
