"""Send noise to every port and every parser: ``python -m benchmarks.fuzz``.

Ports: requests of the OpenAPI documents by Schemathesis, and a grammar and bytes mutated by
libFuzzer. Parsers: examples by Hypothesis. The exit code is 1 if a promise is broken.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.fuzz.parsers import PARSERS, fuzz_parser
from benchmarks.fuzz.ports import fuzz_ports
from benchmarks.promises import conclude
from randsvc.stack.programs import StackError

RESULTS = Path(__file__).parent.with_name("fuzz-results.md")
EXAMPLE_SHARE = 0.01
"""Examples for each parser, as a share of the requests."""


def main(arguments: Sequence[str] | None = None, console: Console | None = None) -> int:
    """Run, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.fuzz", description=__doc__)
    parser.add_argument("--requests", type=_positive, default=1_000_000, help="to all ports")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="limit of the requests' time"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the random numbers")
    parser.add_argument("--no-results", action="store_true", help="write no results file")
    given = parser.parse_args(arguments)
    console = console or Console(width=150)
    if find_spec("atheris") is None:
        console.print("there is no atheris, which mutates the bytes: it is for Linux on x86_64")
        return 1
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
            task = progress.add_task("requests", total=given.requests)
            promises, statuses, sent = fuzz_ports(
                given.requests,
                given.seed,
                given.minutes * 60,
                lambda what, sent: progress.update(task, description=what, completed=sent),
            )
            examples = max(10, round(sent * EXAMPLE_SHARE))
            parsers = progress.add_task("parsers", total=len(PARSERS))
            for each in PARSERS:
                progress.update(parsers, description=each.name)
                promises.append(fuzz_parser(each, examples, given.seed))
                progress.advance(parsers)
    except StackError as error:
        console.print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; nothing was written")
        return 130
    limit = f" MINUTES={given.minutes:g}" if math.isfinite(given.minutes) else ""
    by_status = ", ".join(
        f"{status} {sum(n for (_, s), n in statuses.items() if s == status):,}"
        for status in sorted({status for _, status in statuses})
    )
    return conclude(
        console,
        "Noise for every port and every parser",
        (
            f"Seed {given.seed}, {sent:,} requests to the public and the management "
            f"ports of both services, {examples:,} examples for each parser.",
            f"Responses by status: {by_status}.",
        ),
        promises,
        command=f"make fuzz REQUESTS={given.requests} SEED={given.seed}{limit}",
        results=None if given.no_results else RESULTS,
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 100:
        raise argparse.ArgumentTypeError(f"{text}: expected 100 requests or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
