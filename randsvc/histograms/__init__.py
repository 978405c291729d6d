"""Histograms as bins, read from Prometheus or from a baseline file, without numpy."""
