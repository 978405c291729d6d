"""What a binned sample says of the distribution that made it, with a verdict in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass

from randsvc.histograms.binned import Binned
from randsvc.recovery.estimate import Estimate
from randsvc.recovery.fit import Fit, ranked
from randsvc.recovery.goodness import Goodness, goodness
from randsvc.recovery.summary import Summary, mean, summarise

__all__ = ("Candidate", "Recovered", "recover")

LEAST_P = 0.001
"""Below this a family is taken not to fit: one true family in a thousand is turned away."""
CLOSE = 6.0
"""Difference of BIC up to which another family is not ruled out: beyond, the odds are above 20 to 1
(Kass and Raftery 1995, https://doi.org/10.1080/01621459.1995.10476572)."""


@dataclass(frozen=True)
class Candidate:
    """A fitted family; ``goodness`` is None where there is too little to test it on."""

    fit: Fit
    goodness: Goodness | None

    @property
    def fits(self) -> bool:
        """Whether the test does not speak against it; false where there was none."""
        return self.goodness is not None and self.goodness.p_value >= LEAST_P

    @property
    def text(self) -> str:
        """The family with the intervals of its parameters: ``normal(mean=49.8..50.2, ...)``."""
        return self.fit.family.filled(
            {name: str(estimate) for name, estimate in self.fit.parameters.items()}
        )


@dataclass(frozen=True)
class Recovered:
    """All that a sample says; ``candidates`` are ranked, the best first.

    ``constant`` is the only value that there seems to be, ``best`` the family that fits.
    """

    binned: Binned
    summary: Summary
    candidates: Sequence[Candidate]
    constant: Estimate | None
    verdict: str

    @property
    def best(self) -> Candidate | None:
        """The first that fits; None where none does."""
        return next((candidate for candidate in self.candidates if candidate.fits), None)


def recover(binned: Binned) -> Recovered:
    """Everything at once; it takes a second or two."""
    constant = _constant(binned)
    candidates = (
        [Candidate(fit, goodness(binned, fit)) for fit in ranked(binned)]
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
    return Estimate(mean(binned), bin_.lower, bin_.upper)


def _verdict(binned: Binned, candidates: Sequence[Candidate], constant: Estimate | None) -> str:
    if not binned.bins:
        return "no values were counted in the window"
    if binned.count == 1:
        return f"one value, {mean(binned):.6g}: too few to tell a distribution"
    if constant:
        low, high = constant.low, constant.high
        return (
            f"consistent with constant(value={constant.value:.6g}): "
            f"all {binned.count} lie in one bucket, from {low:.6g} to {high:.6g}"
        )
    tested = [(each.fit, each.goodness) for each in candidates if each.goodness]
    if not tested:
        buckets = len(binned.bins)
        return f"{binned.count} values in {buckets} buckets: too few to tell families apart"
    fitting = [candidate for candidate in candidates if candidate.fits]
    if not fitting:
        fit, test = tested[0]
        return f"none of the families fits: the nearest, {fit.family.name}, has p {test.text}"
    best, *others = fitting
    close = [other.fit.family.name for other in others if other.fit.bic - best.fit.bic <= CLOSE]
    more = f"; not ruled out: {', '.join(close)}" if close else ""
    return f"consistent with {best.text}{more}"
