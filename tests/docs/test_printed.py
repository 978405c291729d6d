"""The comparison of a page with what a command printed."""

import pytest

from tests.support.printed import OMITTED, prints

SERIES = 'requests_total{job="randsvc",instance="1f",route="/random",status="200"} 44\n'


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ('{"value": 37.6, "id": "AAA..."}\n', '{"value": -2e-05, "id": "AAABBB"}\n'),
        ("a\n...\nb\n", "a\n1\n2\nb\n"),
        ("a\n...\nb\n", "a\nb\n"),
        ("  5 ██│▍  0.4%\n 10 ███│  9.9%\n mean 7\n", "5 █│ 1%\nmean   7.5\n"),
        (
            f'{OMITTED}\nrequests_total{{job="randsvc",status="200"}} 5\n',
            "first\n" + SERIES + "last\n",
        ),
        (
            f'head\n{OMITTED}\ntotal{{status="200"}} 5\ntotal{{status="500"}} 5\n',
            'head\ntotal{status="500"} 1\ntotal{status="200"} 1\n',
        ),
    ],
)
def test_differences_between_runs_are_ignored(shown: str, printed: str) -> None:
    assert prints(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ('{"value": 37.6}\n', '{"value": 37.6, "id": "AAA"}\n'),
        ('{"value": 37.6, "id": "..."}\n', '{"value": 37.6, "id": 5}\n'),
        ("errors 0\n", "errors 3\n"),
        ("a\n", "a\nb\n"),
        ("a\n...\nb\n", "a\nc\n"),
        ('total{status="200"} 5\n', 'total{status="500"} 5\n'),
        (f'{OMITTED}\nrequests_total{{status="500"}} 5\n', SERIES),
        (f'a\n{OMITTED}\ntotal{{status="500"}} 5\n', 'total{status="500"} 5\na\n'),
        (f'{OMITTED}\nrequests_total{{status="200"}} 5\n', SERIES.replace("44", "NaN")),
    ],
)
def test_everything_else_must_be_as_shown(shown: str, printed: str) -> None:
    assert not prints(shown, printed)
