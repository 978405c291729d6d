"""A distribution recovered from its histogram in Prometheus, with error bars.

What fits and draws needs numpy, scipy and matplotlib, the extra ``randsvc[analysis]``; what reads
and keeps (``binned``, ``prometheus``, ``baseline``) needs nothing. The service imports none of it.
"""
