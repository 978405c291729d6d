"""The same service, measured in different ways: ``python -m benchmarks.servers.<name> PORT``."""
