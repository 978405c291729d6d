"""What a text means, and what is said of one that means nothing."""

import math
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from randsvc.distributions import DistributionError, parse, parse_delay

FAMILIES = "beta, constant, exponential, gamma, lognormal, mixture, normal, uniform, weibull"

# What is wrong, with the place, and what would be right: for each text all of its message that
# follows the text itself.
REFUSED = {
    "": "column 1, at the end: expected a family such as normal(mean=50, sd=10)",
    "5": "column 1, at '5': did you mean constant(5)?",
    "(": "column 1, at '(': expected a family such as normal(mean=50, sd=10)",
    "norml(1, 2)": f"column 1, at 'norml': no such family; known: {FAMILIES}; did you mean normal?",
    "NORMAL(1, 2)": f"at 'NORMAL': no such family; known: {FAMILIES}; did you mean normal?",
    "cauchy(1, 2)": f"column 1, at 'cauchy': no such family; known: {FAMILIES}",
    "normal": "column 7, at the end: expected '('",
    "normal(": "column 8, at the end: expected a number",
    "normal(1, 2": "column 12, at the end: expected ',' or ')'",
    "normal(1, 2,)": "column 13, at ')': expected a number",
    "normal(1, 2) s": "column 14, at 's': expected the end",
    "normal(mean=, sd=1)": "column 13, at ',': expected a number",
    "normal(mean: 1)": "column 12, at ':': expected '='",
    "uniform(10ms, 20ms)": "column 11, at 'ms': expected ',' or ')'",
    "normal()": "column 1, at 'normal': mean and sd missing: write normal(mean=..., sd=...)",
    "normal(sd=1)": "column 1, at 'normal': mean missing: write normal(mean=..., sd=...)",
    "normal(1, 2, 3)": "column 14, at '3': normal takes only mean and sd unnamed",
    "normal(1, mean=2)": "column 11, at 'mean': mean is given twice",
    "normal(1, 2, min=0, min=0)": "column 21, at 'min': min is given twice",
    "lognormal(median=1, sigm=1)": (
        "column 21, at 'sigm': lognormal has no such parameter; "
        "known: median, sigma, min, max; did you mean sigma?"
    ),
    "normal(0.5*constant(1))": "column 8, at '0.5': only a mixture has parts",
    "normal(mean=50, sd=-1)": "column 20, at '-1': sd must be above 0, not -1",
    "normal(mean=50, sd=0)": (
        "column 20, at '0': sd must be above 0, not 0: for a value that never varies, use "
        "constant(value=50)"
    ),
    "lognormal(0, 1)": "column 11, at '0': median must be above 0, not 0",
    "lognormal(1, 0)": "column 14, at '0': sigma must be above 0, not 0: for a value that never",
    "lognormal(1, 20)": "column 14, at '20': sigma must be from 0.001 to 10, not 20",
    "exponential(-1)": "column 13, at '-1': rate must be above 0, not -1",
    "gamma(0, 1)": "column 7, at '0': shape must be from 0.05 to 1000, not 0",
    "gamma(1, 0)": "column 10, at '0': scale must be above 0, not 0",
    "weibull(1e4, 1)": "column 9, at '1e4': shape must be from 0.05 to 1000, not 10000",
    "weibull(1, 0)": "column 12, at '0': scale must be above 0, not 0",
    "beta(0, 1)": "column 6, at '0': alpha must be from 0.05 to 1000, not 0",
    "beta(1, 0)": "column 9, at '0': beta must be from 0.05 to 1000, not 0",
    "beta(1, 1, high=-1)": "column 17, at '-1': high must be above low, which is 0, not -1",
    "beta(1, 1, low=3)": "column 1, at 'beta': high must be above low, which is 3, not 1",
    "uniform(3, 3)": "column 12, at '3': high must be above low, which is 3, not 3",
    "constant(nan)": "column 10, at 'nan': expected a number that is 0 or from 1e-100 to 1e+100",
    "constant(-inf)": "column 10, at '-inf': expected a number that is 0 or from 1e-100 to 1e+100",
    "constant(1e400)": "column 10, at '1e400': expected a number that is 0 or from 1e-100 to",
    "constant(1e-200)": "column 10, at '1e-200': expected a number that is 0 or from 1e-100 to",
    "constant(0x10)": "column 11, at 'x10': expected ',' or ')'",
    "mixture()": "column 1, at 'mixture': the weights must sum to 1, not 0",
    "mixture(0.5*constant(1))": "column 1, at 'mixture': the weights must sum to 1, not 0.5",
    "mixture(1.5*constant(1), -0.5*constant(2))": (
        "column 26, at '-0.5': a weight must be above 0, not -0.5"
    ),
    "mixture(normal(1, 2))": "column 9, at 'normal': a part of a mixture is weight*distribution",
    "mixture(0.5, 0.5)": "column 9, at '0.5': a part of a mixture is weight*distribution",
    "mixture(1*normal(0, -1))": "column 21, at '-1': sd must be above 0, not -1",
    "uniform(0, 1, min=2, max=2)": "column 26, at '2': max must be above min, which is 2, not 2",
    "normal(0, 1, min=5)": (
        "column 18, at '5': min=5 keeps 2.9e-05% of normal(mean=0, sd=1): keep at least 1%"
    ),
    "uniform(0, 1, min=0.5, max=0.505)": "column 19, at '0.5': min=0.5, max=0.505 keeps 0.5% of",
    "constant(1, max=0)": "column 17, at '0': max=0 keeps 0% of constant(value=1)",
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.items())
def test_a_text_that_is_wrong_is_refused_with_the_place_and_the_remedy(
    text: str, expected: str
) -> None:
    with pytest.raises(DistributionError) as caught:
        parse(text)
    assert str(caught.value).startswith(repr(text))
    assert expected in str(caught.value)


MEANT = {
    "constant(5)": "constant(value=5)",
    "uniform(1,2)": "uniform(low=1, high=2)",
    " normal ( sd = 10 , mean = +50. ) ": "normal(mean=50, sd=10)",
    "normal(mean=50, 10)": "normal(mean=50, sd=10)",
    "lognormal(median=.05, sigma=5E-1)": "lognormal(median=0.05, sigma=0.5)",
    "exponential(20)": "exponential(rate=20)",
    "gamma(2, 3, min=1)": "gamma(shape=2, scale=3, min=1)",
    "weibull(2, 3, max=1)": "weibull(shape=2, scale=3, max=1)",
    "beta(2, 3)": "beta(alpha=2, beta=3, low=0, high=1)",
    "beta(2, 3, high=9)": "beta(alpha=2, beta=3, low=0, high=9)",
    "uniform(max=4, low=1, high=5, min=2)": "uniform(low=1, high=5, min=2, max=4)",
    "mixture(min=0, 0.9*normal(1, 2), 0.1*constant(3))": (
        "mixture(0.9*normal(mean=1, sd=2), 0.1*constant(value=3), min=0)"
    ),
    "mixture(1*mixture(1*normal(1, 2, max=5), max=4))": (
        "mixture(1*mixture(1*normal(mean=1, sd=2, max=5), max=4))"
    ),
}


@pytest.mark.parametrize(("text", "canonical"), MEANT.items())
def test_a_distribution_is_written_as_the_text_that_parses_to_it(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical
    assert parse(canonical) == parse(text)


@pytest.mark.parametrize("text", MEANT)
def test_a_distribution_can_be_sent_to_another_process(text: str) -> None:
    sent = pickle.loads(pickle.dumps(parse(text)))  # noqa: S301  (its own bytes)
    assert (sent, sent.mean, sent.support) == (parse(text), parse(text).mean, parse(text).support)


def test_distributions_with_other_parameters_are_not_equal() -> None:
    assert parse("normal(1, 2)") != parse("normal(1, 2, min=0)")


@given(value=st.floats(1e-100, 1e100), sd=st.floats(1e-100, 1e100))
def test_numbers_survive_being_written_and_read(value: float, sd: float) -> None:
    distribution = parse(f"normal({value}, {sd})")
    assert (distribution.mean, parse(str(distribution))) == (value, distribution)


def test_mixture_weights_may_miss_1_by_rounding() -> None:
    assert parse(f"mixture({', '.join(['0.3333333333*constant(1)'] * 3)})").mean == pytest.approx(1)


names = st.sampled_from(FAMILIES.split(", "))
tokens = st.one_of(
    names,
    st.sampled_from(["mean", "sd", "min", "max", "low", "high", "inf", "nan", "é", "\n", " "]),
    st.sampled_from(["0", "1", "-1", "0.5", "2", "1e99", "1e-99", "1e400", *"(),=*.-"]),
)
calls = st.recursive(
    st.builds(
        "{}({})".format,
        names,
        st.lists(
            st.builds(
                "{}{}".format,
                st.sampled_from(["", "", "", "min=", "max="]),
                st.one_of(
                    st.floats(), st.integers(-3, 3), st.sampled_from([1e100, 1e-100, -1e100])
                ),
            ),
            max_size=5,
        ).map(", ".join),
    ),
    lambda inner: st.builds("mixture(0.5*{}, 0.5*{}, min={})".format, inner, inner, st.floats()),
    max_leaves=4,
)


@given(text=st.one_of(st.text(), st.lists(tokens).map("".join), calls))
@example("\x00")
@example("\ud800(")
@example("normal(1,\n2,\u2028 3)")
@example("mixture(1*" * 10_000)
@example("mixture(1*" * 99)
@example("mixture(1*" * 80 + "constant(1" + ")" * 81)
def test_any_text_is_a_sound_distribution_or_refused_in_one_line(text: str) -> None:
    try:
        distribution = parse(text)
    except DistributionError as error:
        message = str(error)
    else:
        message = str(distribution)
        assert parse(message) == distribution
        assert abs(distribution.mean) < math.inf
        assert 0 <= distribution.variance < math.inf
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["constant(0)", "uniform(0, 1)", "lognormal(0.05, 0.5)", "normal(0.05, 0.01, min=0)"]
)
def test_a_delay_is_a_distribution_without_negative_values(text: str) -> None:
    assert parse_delay(text) == parse(text)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("normal(mean=0.05, sd=0.01)", "set min=0"),
        ("normal(mean=0.05, sd=0.01, min=-1)", "set min=0"),
        ("mixture(0.5*normal(0, 1), 0.5*constant(1))", "set min=0"),
        ("uniform(-2, -1)", "a delay is 0 seconds or more"),
        ("constant(-1)", "a delay is 0 seconds or more"),
    ],
)
def test_a_delay_that_can_be_negative_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(DistributionError) as caught:
        parse_delay(text)
    assert str(caught.value) == f"{text!r} can be negative: {remedy}"
