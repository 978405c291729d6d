"""Recovers a distribution, with error bars, from its histogram.

It needs numpy, scipy and matplotlib, the extra ``analysis``; the service imports none of it. What
reads histograms and keeps them is in ``randsvc.histograms`` and needs nothing more.
"""
