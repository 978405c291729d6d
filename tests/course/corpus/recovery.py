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


def of_seed(seed: int, hint: str, *, value: str = "", delay: str = "") -> Answer:
    """Answer for a seed; what is not given is right."""
    right_value, right_delay = choose_distributions(seed)
    return answer(hint, value or right_value, delay or right_delay, seed)


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
    "a family in capitals": answer("did you mean gamma?", "Gamma(shape=3.5, scale=10)", DELAY),
    "a family of scipy": answer("no such family", "norm(loc=35, scale=18.7)", DELAY),
    "a call of scipy": answer(NO_NUMBER, "scipy.stats.gamma(3.5, scale=10)", DELAY),
    "a family by its letter": answer("no such family", "N(35, 18.7)", DELAY),
    "an exponential by its scale": answer("exponential has no such parameter", VALUE, "exponential(scale=0.0213)"),
    "an exponential by its mean": answer("exponential has no such parameter", VALUE, "exponential(mean=0.0213)"),
    "an exponential by its letter": answer("exponential has no such parameter", VALUE, "exponential(lambda=47)"),
    "a lognormal by its logarithm": answer("lognormal has no such parameter", VALUE, "lognormal(mu=-4.1, sigma=0.8)"),
    "a lognormal by its mean": answer("lognormal has no such parameter", VALUE, "lognormal(mean=0.02, sigma=0.8)"),
    "a Weibull by its letters": answer("weibull has no such parameter", VALUE, "weibull(k=1, lambda=0.02)"),
    "a gamma by its letters": answer("gamma has no such parameter", "gamma(alpha=3.5, beta=0.1)", DELAY),
    "a gamma by its rate": answer("gamma has no such parameter", "gamma(shape=3.5, rate=0.1)", DELAY),
    "a normal by its sigma": answer("normal has no such parameter", "normal(mu=35, sigma=18.7)", DELAY),
    "a uniform by its letters": answer("uniform has no such parameter", "uniform(a=0, b=70)", DELAY),
    "a uniform by min and max": answer(NO_NUMBER, "uniform(min=0, max=70)", DELAY),
    "a uniform that is turned round": answer("high must be above low", "uniform(low=70, high=0)", DELAY),
    "a decimal comma": answer(NO_NUMBER, "gamma(shape=3,5, scale=10)", DELAY),
    "a fraction": answer(NO_NUMBER, "gamma(shape=7/2, scale=10)", DELAY),
    "no comma": answer(NO_NUMBER, "gamma(shape=3.5 scale=10)", DELAY),
    "a comma at the end": answer(NO_NUMBER, "gamma(shape=3.5, scale=10,)", DELAY),
    "a semicolon": answer(NO_NUMBER, "gamma(shape=3.5; scale=10)", DELAY),
    "square brackets": answer(NO_NUMBER, "'gamma[shape=3.5, scale=10]'", DELAY),
    "a unit": answer("answer.yaml: delay", VALUE, "exponential(rate=47/s)"),
    "milliseconds by their name": answer("answer.yaml: delay", VALUE, "constant(value=21ms)"),
    "a sign of about": answer(NO_NUMBER, "'~gamma(shape=3.5, scale=10)'", DELAY),
    "an equation": answer(NO_NUMBER, "value = gamma(shape=3.5, scale=10)", DELAY),
    "two answers": answer(NO_NUMBER, "gamma(shape=3.5, scale=10) or normal(mean=35, sd=18.7)", DELAY),
    "a parameter twice": answer("is given twice", "gamma(shape=3.5, scale=10, shape=3.5)", DELAY),
    "a shape of 0": answer(NO_NUMBER, "gamma(shape=0, scale=10)", DELAY),
    "a negative rate": answer("rate must be above 0", VALUE, "exponential(rate=-47)"),
    "not a number": answer(NO_NUMBER, "normal(mean=nan, sd=1)", DELAY),
    "weights below 1": answer("the weights must sum to 1", "mixture(0.4*normal(mean=20, sd=5), 0.4*normal(mean=60, sd=5))", DELAY),
    "weights in percent": answer("the weights must sum to 1", "mixture(60*normal(mean=20, sd=5), 40*normal(mean=60, sd=5))", DELAY),
    "a weight behind": answer("a part of a mixture is weight*distribution", "mixture(normal(mean=20, sd=5)*0.5, normal(mean=60, sd=5)*0.5)", DELAY),
    "a negative weight": answer(NO_NUMBER, "mixture(1.5*normal(mean=20, sd=5), -0.5*normal(mean=60, sd=5))", DELAY),
    "a sum without mixture": answer(NO_NUMBER, "0.5*normal(mean=20, sd=5) + 0.5*normal(mean=60, sd=5)", DELAY),
    "an empty mixture": answer(NO_NUMBER, "mixture()", DELAY),
    "a delay that can be negative a little": answer("answer.yaml: delay", VALUE, "normal(mean=0.0213, sd=0.005)"),
    "a date for a value": answer(NO_NUMBER, "2026-11-24", DELAY),
    "a truth value": answer(NO_NUMBER, "yes", DELAY),
    "fields in capitals": Answer("seed is empty", files={"answer.yaml": f"Seed: 1\nValue: {VALUE}\nDelay: {DELAY}\n"}),
    "fields below another": Answer("seed is empty", files={"answer.yaml": f"answer:\n  seed: 1\n  value: {VALUE}\n  delay: {DELAY}\n"}),
    "a misspelt field": Answer("delay is empty", files={"answer.yaml": f"seed: 1\nvalue: {VALUE}\ndelays: {DELAY}\n"}),
    "equals for colons": Answer("expected the fields", files={"answer.yaml": f"seed = 1\nvalue = {VALUE}\n"}),
    "two documents": Answer("answer.yaml is not YAML", files={"answer.yaml": f"seed: 1\nvalue: {VALUE}\n---\ndelay: {DELAY}\n"}),
    "tabs": Answer("answer.yaml is not YAML", files={"answer.yaml": f"seed: 1\n\tvalue: {VALUE}\n"}),
    "a quote that stays open": answer("answer.yaml is not YAML", f'"{VALUE}', DELAY),
    "a list of seeds": answer("seed is [", VALUE, DELAY, "[1, 2]"),
    "an infinite seed": answer("seed is inf", VALUE, DELAY, ".inf"),
    "an alias of nothing": answer("answer.yaml is not YAML", "*value", DELAY),
    "another file": Answer("value is empty", files={"answers.yaml": "", "answer.yaml": "seed: 1\nvalue:\ndelay:\n"}),
    "more than a page": Answer("is longer than 64 kB", files={"answer.yaml": "# " + "x" * 70_000}),
    "a number that is too large": answer("answer.yaml: value", "normal(mean=1e999, sd=1)", DELAY),
}  # fmt: skip

OF_SEEDS = {
    # Another family than the right one, and the mistakes that each family invites.
    "seed 2: the first of two peaks": of_seed(2, MEAN, value="normal(mean=21, sd=5)"),
    "seed 2: the second of two peaks": of_seed(2, MEAN, value="normal(mean=61, sd=8)"),
    "seed 2: one normal for two peaks": of_seed(2, SHAPE, value="normal(mean=37, sd=20.6)"),
    "seed 2: one uniform for two peaks": of_seed(2, SHAPE, value="uniform(low=1.3, high=72.7)"),
    "seed 2: weights exchanged": of_seed(2, MEAN, value="mixture(0.4*normal(mean=21, sd=5), 0.6*normal(mean=61, sd=8))"),
    "seed 2: equal weights": of_seed(2, MEAN, value="mixture(0.5*normal(mean=21, sd=5), 0.5*normal(mean=61, sd=8))"),
    "seed 2: peaks that are too wide": of_seed(2, SHAPE, value="mixture(0.6*normal(mean=21, sd=15), 0.4*normal(mean=61, sd=15))"),
    "seed 2: peaks too near": of_seed(2, SHAPE, value="mixture(0.6*normal(mean=29, sd=5), 0.4*normal(mean=49, sd=8))"),
    "seed 2: a mean where nothing is": of_seed(2, NARROW, value="normal(mean=37, sd=5)"),
    "seed 2: an average": of_seed(2, CONSTANT, value="constant(value=37)"),
    "seed 3: a variance": of_seed(3, WIDE, value="normal(mean=68, sd=169)"),
    "seed 3: a root": of_seed(3, NARROW, value="normal(mean=68, sd=3.6)"),
    "seed 3: the right mean in a uniform": of_seed(3, SHAPE, value="uniform(low=45.5, high=90.5)"),
    "seed 3: the right mean in an exponential": of_seed(3, WIDE, value="exponential(rate=0.0147)"),
    "seed 3: the largest bound": of_seed(3, MEAN, value="normal(mean=100, sd=13)"),
    "seed 3: half the mean": of_seed(3, MEAN, value="normal(mean=34, sd=13)"),
    "seed 3: a delay that is normal": of_seed(3, WIDE, delay="gamma(shape=1, scale=0.051)"),
    "seed 3: a delay by its mean for its median": of_seed(3, MEAN, delay="lognormal(median=0.0509, sigma=0.4)"),
    "seed 3: a delay with a variance for sigma": of_seed(3, "in your answer", delay="lognormal(median=0.0503, sigma=0.16)"),
    "seed 3: a delay in milliseconds": of_seed(3, SECONDS, delay="lognormal(median=47, sigma=0.4)"),
    "seed 3: a delay in microseconds": of_seed(3, SECONDS, delay="lognormal(median=47000, sigma=0.4)"),
    "seed 3: a delay that is exponential": of_seed(3, "in your answer", delay="exponential(rate=19.6)"),
    "seed 4: a delay that is exponential": of_seed(4, WIDE, delay="exponential(rate=19.3)"),
    "seed 4: a scale for a mean": of_seed(4, MEAN, delay="weibull(shape=2.9, scale=0.07)"),
    "seed 4: a delay of a smaller shape": of_seed(4, SHAPE, delay="weibull(shape=1.6, scale=0.0577)"),
    "seed 4: a delay that is narrow": of_seed(4, NARROW, delay="weibull(shape=12, scale=0.054)"),
    "seed 4: an average delay": of_seed(4, CONSTANT, delay="constant(value=0.052)"),
    "seed 4: a value in percent": of_seed(4, MEAN, value="normal(mean=0.61, sd=0.09)"),
    "seed 4: the standard error": of_seed(4, NARROW, value="normal(mean=61, sd=0.1)"),
    "seed 9: a normal for a uniform": of_seed(9, SHAPE, value="normal(mean=47.5, sd=20.5)"),
    "seed 9: a uniform from 0": of_seed(9, MEAN, value="uniform(low=0, high=83)"),
    "seed 9: a uniform from 0 to 100": of_seed(9, "in your answer", value="uniform(low=0, high=95)"),
    "seed 9: a triangle for a uniform": of_seed(9, SHAPE, value="mixture(0.5*normal(mean=37.5, sd=12), 0.5*normal(mean=57.5, sd=12))"),
    "seed 9: a mixture at the ends": of_seed(9, SHAPE, value="mixture(0.5*normal(mean=25, sd=5), 0.5*normal(mean=70, sd=5))"),
    "seed 6: a median for a mean": of_seed(6, MEAN, delay="lognormal(median=0.0385, sigma=0.5)"),
    "seed 6: a delay without skew": of_seed(6, SHAPE, delay="normal(mean=0.0385, sd=0.02, min=0)"),
    "seed 6: a delay in milliseconds": of_seed(6, SECONDS, delay="lognormal(median=34, sigma=0.5)"),
    "seed 6: shape and scale exchanged": of_seed(6, NARROW, value="gamma(shape=12, scale=2.4)"),
    "seed 6: an exponential for a gamma": of_seed(6, SHAPE, value="exponential(rate=0.0347)"),
    "seed 6: a normal for a gamma": of_seed(6, SHAPE, value="normal(mean=28.8, sd=18.6)"),
    "seed 6: a gamma of the mode": of_seed(6, MEAN, value="gamma(shape=2.4, scale=7)"),
    "seed 6: an average of both": of_seed(6, CONSTANT, value="constant(value=28.8)", delay="constant(value=0.0385)"),
    "seed 9: a scale for a rate": of_seed(9, MEAN, delay="exponential(rate=0.0385)"),
    "seed 9: a rate per minute": of_seed(9, MEAN, delay="exponential(rate=1560)"),
    "the answer of another seed": answer(SHAPE, *choose_distributions(2), 1),
    "the answer of the seed before": answer(MEAN, *choose_distributions(3), 4),
    "a seed that was not run": answer(MEAN, VALUE, DELAY, 3),
    "a value for a delay": of_seed(2, SECONDS, delay="normal(mean=21, sd=5, min=0)"),
}  # fmt: skip

WRONG = {
    **OF_SEEDS,
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
    **{f"the distributions of seed {seed}": answer("", *choose_distributions(seed), seed) for seed in (6, 9)},
    "seed 2: peaks found by eye": of_seed(2, "", value="mixture(0.59*normal(mean=20.8, sd=5.1), 0.41*normal(mean=60.7, sd=8.2))"),
    "seed 2: peaks in the other order": of_seed(2, "", value="mixture(0.4*normal(mean=61, sd=8), 0.6*normal(mean=21, sd=5))"),
    "seed 2: a gamma for the first peak": of_seed(2, "", value="mixture(0.6*gamma(shape=17.6, scale=1.193), 0.4*normal(mean=61, sd=8))"),
    "seed 3: a mean by eye": of_seed(3, "", value="normal(mean=67.6, sd=12.7)"),
    "seed 3: a gamma for a lognormal": of_seed(3, "", delay="gamma(shape=6.3, scale=0.0081)"),
    "seed 4: a normal for a Weibull": of_seed(4, "", delay="normal(mean=0.0517, sd=0.0194, min=0)"),
    "seed 6: a median by eye": of_seed(6, "", delay="lognormal(median=0.0345, sigma=0.51)"),
    "seed 9: ends by eye": of_seed(9, "", value="uniform(low=12.4, high=82.6)"),
    "seed 6: a gamma by eye": of_seed(6, "", value="gamma(shape=2.45, scale=11.7)"),
    "seed 9: a Weibull for an exponential": of_seed(9, "", delay="weibull(shape=1.01, scale=0.0387)"),
    "parameters without names": value("", "gamma(3.5, 10)"),
    "another notation of numbers": value("", "gamma(shape=.35e1, scale=+1e1)"),
    "a mixture of one": value("", "mixture(1*gamma(shape=3.5, scale=10))"),
    "JSON": Answer("", files={"answer.yaml": f'{{"seed": 1, "value": "{VALUE}", "delay": "{DELAY}"}}'}),
    "a text of several lines": value("", ">-\n  gamma(shape=3.5,\n  scale=10)"),
    "an anchor": Answer("", files={"answer.yaml": f"best: &best {VALUE}\nseed: 1\nvalue: *best\ndelay: {DELAY}\n"}),
    "a document with its marks": Answer("", files={"answer.yaml": f"%YAML 1.1\n---\nseed: 1\nvalue: {VALUE}\ndelay: {DELAY}\n...\n"}),
    "lines of Windows": Answer("", files={"answer.yaml": f"\ufeffseed: 1\r\nvalue: {VALUE}\r\ndelay: {DELAY}\r\n"}),
    "a Weibull of nearly the shape": value("", "weibull(shape=1.97, scale=39.5)"),
}  # fmt: skip
