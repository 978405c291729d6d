"""Breaks the highly available layout at random, and holds it to its promises."""
