"""Judges every answer of the corpus: ``python -m tests.course.corpus [FAMILY...]``."""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.course.corpus import FAMILIES, judging

JOBS = 3
"""Answers that are judged at a time."""


def main() -> int:
    """Print a table, and every answer that is misjudged; return the exit code."""
    names = sys.argv[1:] or list(FAMILIES)
    console = Console(soft_wrap=True, highlight=False)
    table = Table("family", "wrong, refused with the right hint", "right, passed")
    misjudged: list[str] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name in names:
            family = FAMILIES[name]
            answers = {("wrong", title): answer for title, answer in family.wrong.items()}
            answers |= {("right", title): answer for title, answer in family.right.items()}
            task = progress.add_task(name, total=len(answers))
            judged = Counter[str]()
            with (
                judging(family, list(answers.values())) as judge,
                ThreadPoolExecutor(JOBS) as pool,
            ):
                results = pool.map(judge.explain, answers.values())
                for (kind, title), problem in zip(answers, results, strict=True):
                    judged[kind] += not problem
                    if problem:
                        misjudged.append(title)
                        progress.console.print(f"{name}, {kind}, {title}: {problem}", markup=False)
                    progress.advance(task)
            table.add_row(
                name,
                f"{judged['wrong']} of {len(family.wrong)}",
                f"{judged['right']} of {len(family.right)}",
            )
    console.print(table)
    return bool(misjudged)


if __name__ == "__main__":
    sys.exit(main())
