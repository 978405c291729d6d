"""Simulated users, their daily wave of traffic, and the ground truth that they report."""
