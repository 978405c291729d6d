"""Recovers the distribution of a binned sample, with a verdict in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass

from randsvc.histograms.binned import Binned
from randsvc.recovery.estimate import Estimate
from randsvc.recovery.fit import Fit, rank_fits
from randsvc.recovery.goodness import Goodness, compute_goodness
from randsvc.recovery.summary import Summary, compute_mean, summarise

__all__ = ("Candidate", "Recovered", "recover")

LEAST_P = 0.001
"""Below this p-value a family is rejected: this happens to one true family in a thousand."""
CLOSE = 6.0
"""Difference of BIC up to which another family is not ruled out: beyond, the odds are above 20 to 1
(Kass and Raftery 1995, https://doi.org/10.1080/01621459.1995.10476572)."""


@dataclass(frozen=True)
class Candidate:
    """A fitted family; ``goodness`` is None if the sample is too small for the test."""

    fit: Fit
    goodness: Goodness | None

    @property
    def fits(self) -> bool:
        """Whether the test does not reject the family; false without a test."""
        return self.goodness is not None and self.goodness.p_value >= LEAST_P

    @property
    def text(self) -> str:
        """The family with the intervals of its parameters: ``normal(mean=49.8..50.2, ...)``."""
        return self.fit.family.fill_in(
            {name: str(estimate) for name, estimate in self.fit.parameters.items()}
        )


@dataclass(frozen=True)
class Recovered:
    """The result of a recovery; ``candidates`` are ranked, the best first.

    ``constant`` is the value of a sample that seems to have only one, ``best`` the family that
    fits.
    """

    binned: Binned
    summary: Summary
    candidates: Sequence[Candidate]
    constant: Estimate | None
    verdict: str

    @property
    def best(self) -> Candidate | None:
        """The first candidate that fits; None if none fits."""
        return next((candidate for candidate in self.candidates if candidate.fits), None)


def recover(binned: Binned) -> Recovered:
    """Summarise, fit and test a sample; this takes a second or two."""
    constant = _constant(binned)
    candidates = (
        [Candidate(fit, compute_goodness(binned, fit)) for fit in rank_fits(binned)]
        if len(binned.bins) > 1
        else []
    )
    return Recovered(
        binned=binned,
        summary=summarise(binned),
        candidates=candidates,
        constant=constant,
        verdict=_verdict(binned, candidates, constant),
    )


def _constant(binned: Binned) -> Estimate | None:
    if len(binned.bins) != 1:
        return None
    bin_ = binned.bins[0]
    # The value itself, as the sum is exact; how far values may lie apart is what the bin says.
    return Estimate(compute_mean(binned), bin_.lower, bin_.upper)


def _verdict(binned: Binned, candidates: Sequence[Candidate], constant: Estimate | None) -> str:
    if not binned.bins:
        return "no values were counted in the window"
    if binned.count == 1:
        return f"one value, {compute_mean(binned):.6g}: too few for a distribution"
    if constant:
        low, high = constant.low, constant.high
        return (
            f"consistent with constant(value={constant.value:.6g}): "
            f"all {binned.count} values are in one bucket, from {low:.6g} to {high:.6g}"
        )
    tested = [(each.fit, each.goodness) for each in candidates if each.goodness]
    if not tested:
        buckets = len(binned.bins)
        return f"{binned.count} values in {buckets} buckets: too few to distinguish families"
    fitting = [candidate for candidate in candidates if candidate.fits]
    if not fitting:
        fit, test = tested[0]
        return f"none of the families fits: the closest, {fit.family.name}, has p {test.text}"
    best, *others = fitting
    close = [other.fit.family.name for other in others if other.fit.bic - best.fit.bic <= CLOSE]
    more = f"; not ruled out: {', '.join(close)}" if close else ""
    return f"consistent with {best.text}{more}"
