"""Noise for every port and every parser: ``python -m benchmarks.fuzz``."""
