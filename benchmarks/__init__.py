"""What measuring costs a request, and what being read costs its users: ``python -m benchmarks``."""
