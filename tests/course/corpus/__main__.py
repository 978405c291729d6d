"""Judges the answers of the corpus: ``python -m tests.course.corpus --help``."""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from cyclopts import App, Parameter, validators
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.course.classroom import grade_class
from tests.course.corpus import FAMILIES, Family, judging, take_sample
from tests.course.corpus.answer import Answer

Number = Annotated[int, Parameter(validator=validators.Number(gte=1))]
ROSTER = "roster"
"""The name, among those of families, of a class whose work would harm the machine."""
app = App(name="corpus", help_format="plaintext", version="", config=())


@app.default
def main(
    *families: str, only: str = "", sample: int = 0, repeat: Number = 1, jobs: Number = 3
) -> int:
    """Print a table, and every answer that is misjudged; the exit code is 1 if one is.

    Parameters
    ----------
    families
        Families of answers, or roster for a class of 30; default: all.
    only
        Regular expression for the names of the answers.
    sample
        Number of answers of each family, evenly from all kinds; default: all.
    repeat
        Times that every answer is judged, each time on new systems.
    jobs
        Answers judged at a time.
    """
    console = Console(soft_wrap=True, highlight=False)
    table = Table("family", "wrong, refused with the right hint", "right, passed")
    misjudged: list[str] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name in families or (*FAMILIES, ROSTER):
            if name == ROSTER:
                misjudged += grade_class()
                continue
            family = FAMILIES[name]
            answers = take_sample(name, sample or len(family.wrong) + len(family.right))
            chosen = {title: answer for title, answer in answers if re.search(only, title)}
            task = progress.add_task(name, total=len(chosen) * repeat)
            judged = Counter[str]()
            for _ in range(repeat):
                for title, problem in _judge(family, chosen, jobs):
                    progress.advance(task)
                    judged[title.partition(":")[0]] += not problem
                    if problem:
                        misjudged.append(f"{name}, {title}: {problem}")
                        progress.console.print(misjudged[-1], markup=False, soft_wrap=True)
            expected = Counter(title.partition(":")[0] for title in chosen)
            table.add_row(
                name,
                *(f"{judged[kind]} of {repeat * expected[kind]}" for kind in ("wrong", "right")),
            )
    if table.rows:
        console.print(table)
    for each in misjudged:
        console.print(each, markup=False)
    # The exit code for True is 0.
    return int(bool(misjudged))


def _judge(family: Family, answers: Mapping[str, Answer], jobs: int) -> Iterator[tuple[str, str]]:
    """Yield how each answer is misjudged; empty if it is judged rightly."""
    with judging(family, list(answers.values())) as judge, ThreadPoolExecutor(jobs) as pool:
        yield from zip(answers, pool.map(judge.explain, answers.values()), strict=True)


if __name__ == "__main__":
    sys.exit(app())
