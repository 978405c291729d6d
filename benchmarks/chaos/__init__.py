"""Breaks a running chain at random, and holds the chain to its promises."""
