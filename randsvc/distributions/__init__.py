"""Named distributions: parsed from text, sampled fast, and known exactly (mean, variance, cdf)."""

from randsvc.distributions.families import Distribution, Sampler
from randsvc.distributions.parse import DistributionError, parse, parse_delay

__all__ = ("Distribution", "DistributionError", "Sampler", "parse", "parse_delay")
