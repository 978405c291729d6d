"""The README as a newcomer follows it: its commands, word for word and in order, in a clone.

What goes on until Ctrl-C is ended by one where the next of its kind begins.
"""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.clones import FENCE, ROOT, follow, make_clone, started

GOES_ON = {"make run": "serving", "make stack": "Ctrl-C"}
"""Commands, and what they say once the next can be typed."""
LEFT_OUT = {
    "make test": "this is a part of it",
    "docker compose": "tests/stack/test_compose_up.py runs it",
}


def commands() -> list[str]:
    """What stands in the fences, a line each."""
    blocks = [
        block
        for language, _, block in FENCE.findall((ROOT / "README.md").read_text())
        if language == "bash"
    ]
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def script() -> str:
    lines = ["set -euo pipefail", "set -m", "goes_on="]
    for number, command in enumerate(commands()):
        typed = command.partition(" #")[0].strip()
        if any(typed.startswith(start) for start in LEFT_OUT):
            continue
        lines.append(f"echo {shlex.quote(f'+ {typed}')}")
        if says := GOES_ON.get(typed):
            lines.append(
                'if [ -n "$goes_on" ]; then kill -INT -- -$goes_on; wait $goes_on || true; fi'
            )
            lines.append(started(typed, f".terminal-{number}", says))
            lines.append("goes_on=$!")
        else:
            lines.append(command)
    return "\n".join(lines) + "\n"


@pytest.mark.native
def test_every_command_works_word_for_word(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    said = follow(script(), clone)
    assert '"value"' in said
    assert "http_server_request_duration_seconds_count" in said
    assert re.search(r"Alert\W+RandsvcModelReplaced\W+Level\W+major", said)
    assert re.search(r"Verdict\W+passed", said)
    assert "lognormal(" in said
    assert (clone / "review.html").is_file()
    assert (clone / "review.md").is_file()


def test_what_is_left_out_is_in_it() -> None:
    for start in LEFT_OUT:
        assert any(command.startswith(start) for command in commands())
