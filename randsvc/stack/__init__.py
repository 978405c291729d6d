"""Runs the real programs of the chain natively, built from source, and an inbox."""
