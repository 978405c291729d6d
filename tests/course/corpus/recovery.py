"""Answers to exercise 4: the distributions of a seed."""

from randsvc.course.recover import choose_distributions
from tests.course.corpus.answer import Answer

EXERCISE = 4


def answer(hint: str, value: str, delay: str, seed: int | str = 1) -> Answer:
    return Answer(hint, files={"answer.yaml": f"seed: {seed}\nvalue: {value}\ndelay: {delay}\n"})


# gamma(shape=3.5, scale=10): mean 35, sd 18.7; exponential(rate=47): mean 0.0213, sd 0.0213.
VALUE, DELAY = "gamma(shape=3.5, scale=10)", "exponential(rate=47)"

MEAN = "which is sum divided by count"
SECONDS = "the unit of the metric is seconds"
SHAPE = "the mean is right, but the shape is not"
NARROW, WIDE = "yours is too narrow", "yours is too wide"
CONSTANT = "is constant: an average is only one number of a distribution"


def value(hint: str, text: str) -> Answer:
    return answer(hint, text, DELAY)


def delay(hint: str, text: str) -> Answer:
    return answer(hint, VALUE, text)


VALUE_MISTAKES = {
    **{f"an average: {n}": value(CONSTANT, f"constant(value={n})") for n in (35, 34.8, 30, 50)},
    **{f"a mean of {n} in a normal": value(MEAN, f"normal(mean={n}, sd=18.7)") for n in (20, 25, 30, 40, 45, 50)},
    **{f"a uniform up to {n}": value(MEAN, f"uniform(low=0, high={n})") for n in (40, 50, 60, 85, 100)},

    "a rate for a mean": value(MEAN, "exponential(rate=35)"),
    "a shape of 5": value(MEAN, "gamma(shape=5, scale=10)"),
    "a scale of 12": value(MEAN, "gamma(shape=3.5, scale=12)"),
    "a rate for a scale": value(MEAN, "gamma(shape=3.5, scale=0.1)"),
    "shape and scale exchanged and rounded": value(MEAN, "gamma(shape=10, scale=4)"),
    "a median for a mean": value(MEAN, "normal(mean=31.7, sd=18.7)"),
    "a mode for a mean": value(MEAN, "normal(mean=25, sd=18.7)"),
    "a mean for a median": value(MEAN, "lognormal(median=35, sigma=0.55)"),
    "a Weibull of 35": value(MEAN, "weibull(shape=2, scale=35)"),
    "a mixture of two means": value(MEAN, "mixture(0.5*normal(mean=20, sd=5), 0.5*normal(mean=60, sd=10))"),
    "a variance for a standard deviation": value(WIDE, "normal(mean=35, sd=350)"),
    "much too wide": value(WIDE, "normal(mean=35, sd=150)"),
    "a uniform much too wide": value(WIDE, "uniform(low=-200, high=270)"),
    "too narrow": value(NARROW, "normal(mean=35, sd=4)"),
    "a standard error": value(NARROW, "normal(mean=35, sd=0.2)"),
    "a gamma too narrow": value(NARROW, "gamma(shape=100, scale=0.35)"),
    "a uniform too narrow": value(NARROW, "uniform(low=30, high=40)"),
    "a root for a standard deviation": value(NARROW, "normal(mean=35, sd=4.3)"),
    "a normal of the right moments": value(SHAPE, "normal(mean=35, sd=18.7)"),
    "a uniform of the right moments": value(SHAPE, "uniform(low=2.6, high=67.4)"),
    "a uniform from zero": value(SHAPE, "uniform(low=0, high=70)"),
    "an exponential of the right mean": value(SHAPE, "exponential(rate=0.02857)"),
    "a gamma of another shape": value(SHAPE, "gamma(shape=2, scale=17.5)"),
    "a gamma of a larger shape": value(SHAPE, "gamma(shape=7, scale=5)"),
    "a lognormal that is too skewed": value(SHAPE, "lognormal(median=28, sigma=0.668)"),
    "a mixture of two peaks": value(SHAPE, "mixture(0.5*normal(mean=20, sd=5), 0.5*normal(mean=50, sd=8))"),
    "a mixture of three peaks": value(SHAPE, "mixture(0.4*normal(mean=15, sd=4), 0.3*normal(mean=35, sd=4), 0.3*normal(mean=61.7, sd=4))"),
    "a normal that is wider": value(SHAPE, "normal(mean=35, sd=25)"),
    "the distribution of the delay": answer(MEAN, DELAY, DELAY),
}  # fmt: skip

DELAY_MISTAKES = {
    **{f"an average: {n}": delay(CONSTANT, f"constant(value={n})") for n in (0.0213, 0.02, 0.05)},
    "milliseconds": delay(SECONDS, "exponential(rate=0.047)"),
    "milliseconds in a lognormal": delay(SECONDS, "lognormal(median=15, sigma=0.83)"),
    "milliseconds in a Weibull": delay(SECONDS, "weibull(shape=1, scale=21.3)"),
    "milliseconds in a uniform": delay(SECONDS, "uniform(low=0, high=42)"),
    "a mean for a rate": delay("the rate of an exponential distribution is 1 / mean", "exponential(rate=0.0213)"),
    "a median for a mean": delay("the median of a skewed distribution is not its mean", "exponential(rate=67.8)"),
    "a mean for a median": delay("the median of a skewed distribution is not its mean", "lognormal(median=0.0213, sigma=0.83)"),
    "the latency for the delay": delay("latency is more than the delay", "exponential(rate=38)"),
    "a latency with 5 ms more": delay("latency is more than the delay", "exponential(rate=35)"),
    **{f"a rate of {n}": delay(MEAN, f"exponential(rate={n})") for n in (10, 20, 30, 60, 100)},
    "a uniform up to 0.1": delay(MEAN, "uniform(low=0, high=0.1)"),
    "a Weibull of 0.04": delay(MEAN, "weibull(shape=2, scale=0.04)"),
    "a gamma of 0.04": delay(MEAN, "gamma(shape=2, scale=0.02)"),
    "a Weibull of another shape": delay(SHAPE, "weibull(shape=1.4, scale=0.0233)"),
    "a Weibull of a larger shape": delay("in your answer", "weibull(shape=2, scale=0.024)"),
    "a Weibull of a smaller shape": delay(SHAPE, "weibull(shape=0.7, scale=0.0168)"),
    "a uniform of the right mean": delay("in your answer", "uniform(low=0, high=0.0426)"),
    "a lognormal of the right mean": delay(SHAPE, "lognormal(median=0.018, sigma=0.58)"),
    "a gamma of the right mean": delay(SHAPE, "gamma(shape=2, scale=0.01065)"),
    "a narrow gamma of the right mean": delay("in your answer", "gamma(shape=50, scale=0.000426)"),
    "a mixture of fast and slow": delay("in your answer", "mixture(0.9*exponential(rate=100), 0.1*exponential(rate=8.13))"),
    "a narrow uniform": delay(NARROW, "uniform(low=0.0203, high=0.0223)"),
    "a normal of the right mean, cut at 0": delay("answer.yaml: delay", "normal(mean=0.0213, sd=0.0213)"),
    "the distribution of the value": answer(SECONDS, VALUE, VALUE),
}  # fmt: skip

NO_NUMBER = "answer.yaml: value: "
FILE_MISTAKES = {
    "nothing filled in": answer("value is empty", "", DELAY),
    "no delay": answer("delay is empty", VALUE, ""),
    "no seed": answer("seed is empty", VALUE, DELAY, ""),
    "a seed that is text": answer("seed is 'mine', expected a whole number", VALUE, DELAY, "mine"),
    "a seed with a fraction": answer("seed is 1.5, expected a whole number", VALUE, DELAY, "1.5"),
    "a seed that is a truth value": answer("seed is True, expected a whole number", VALUE, DELAY, "true"),
    "no YAML": answer("answer.yaml is not YAML", VALUE, DELAY, "["),
    "a list": Answer("expected the fields seed, value, delay", files={"answer.yaml": "- 1\n- 2\n"}),
    "text": Answer("expected the fields seed, value, delay", files={"answer.yaml": "gamma\n"}),
    "an empty file": Answer("expected the fields seed, value, delay", files={"answer.yaml": ""}),
    "a list of values": answer("value is [", f"[{VALUE}]", DELAY),
    "a distribution as fields": answer("value is {", "{gamma: {shape: 3.5, scale: 10}}", DELAY),
    "words": answer(NO_NUMBER, "about 35", DELAY),
    "a number": answer(NO_NUMBER, "35", DELAY),
    "an unknown family": answer(NO_NUMBER, "beta(a=2, b=3)", DELAY),
    "an unknown parameter": answer(NO_NUMBER, "normal(mean=35, variance=350)", DELAY),
    "a missing parameter": answer(NO_NUMBER, "gamma(shape=3.5)", DELAY),
    "an interval": answer(NO_NUMBER, "gamma(shape=3.4..3.6, scale=9.8..10.2)", DELAY),
    "a negative scale": answer(NO_NUMBER, "gamma(shape=3.5, scale=-10)", DELAY),
    "a standard deviation of 0": answer(NO_NUMBER, "normal(mean=35, sd=0)", DELAY),
    "an infinite mean": answer(NO_NUMBER, "normal(mean=inf, sd=1)", DELAY),
    "no bracket": answer(NO_NUMBER, "gamma(shape=3.5, scale=10", DELAY),
    "weights above 1": answer(NO_NUMBER, "mixture(0.8*normal(mean=20, sd=5), 0.8*normal(mean=60, sd=5))", DELAY),
    "a mixture without weights": answer(NO_NUMBER, "mixture(normal(mean=20, sd=5), normal(mean=60, sd=5))", DELAY),
    "brackets without end": answer(NO_NUMBER, "mixture(1*" * 3000, DELAY),
    "a delay that can be negative": answer("answer.yaml: delay", VALUE, "uniform(low=-0.01, high=0.05)"),
    "a number that is too large": answer("answer.yaml: value", "normal(mean=1e999, sd=1)", DELAY),
}  # fmt: skip

WRONG = {
    **{f"value: {name}": each for name, each in VALUE_MISTAKES.items()},
    **{f"delay: {name}": each for name, each in DELAY_MISTAKES.items()},
    **{f"the file: {name}": each for name, each in FILE_MISTAKES.items()},

}  # fmt: skip

RIGHT = {
    "the solution": Answer(),
    **{f"the distributions of seed {seed}": answer("", *choose_distributions(seed), seed) for seed in (2, 3, 4)},
    **{f"a shape of {shape}": value("", f"gamma(shape={shape}, scale={35 / shape:.4g})") for shape in (3.3, 3.4, 3.45, 3.55, 3.6, 3.7)},
    **{f"a mean of {mean}": value("", f"gamma(shape=3.5, scale={mean / 3.5:.4g})") for mean in (34.5, 34.8, 35.2, 35.5)},
    **{f"a rate of {rate}": delay("", f"exponential(rate={rate})") for rate in (46, 46.5, 47.5, 48)},
    "another order of the parameters": value("", "gamma(scale=10, shape=3.5)"),
    "spaces": value("", "gamma( shape = 3.5 , scale = 10 )"),
    "quotes": value("", f"'{VALUE}'"),
    "many digits": value("", "gamma(shape=3.500001, scale=9.999999)"),
    "a Weibull that is an exponential": delay("", "weibull(shape=1, scale=0.02128)"),
    "a Weibull that is nearly one": delay("", "weibull(shape=1.02, scale=0.0215)"),
    "a gamma that is an exponential": delay("", "gamma(shape=1, scale=0.02128)"),
    "a gamma that is nearly one": delay("", "gamma(shape=1.03, scale=0.0207)"),
    "a mixture of one kind": value("", "mixture(0.5*gamma(shape=3.5, scale=10), 0.5*gamma(shape=3.5, scale=10))"),
    "a mixture of two rates": delay("", "mixture(0.5*exponential(rate=45), 0.5*exponential(rate=49))"),
    "comments": Answer("", files={"answer.yaml": f"# mine\nseed: 1 # the first\nvalue: {VALUE} # from the buckets\ndelay: {DELAY}\n"}),
    "more fields": Answer("", files={"answer.yaml": f"seed: 1\nname: Ada\nvalue: {VALUE}\ndelay: {DELAY}\n"}),
    "a Weibull of nearly the shape": value("", "weibull(shape=1.97, scale=39.5)"),
}  # fmt: skip
