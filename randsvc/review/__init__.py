"""Looks back over a period: objectives, incidents, golden signals, drift, and the period before.

It reads Prometheus alone and needs the extra ``analysis``; the service imports none of it. Data
flow one way: ``subject`` says what to review, ``counts`` and ``runs`` read it, ``readings`` holds
all that was read, ``sections`` states it, ``report`` writes it.
"""
