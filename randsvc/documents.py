"""Documents that people write: YAML or JSON from a file, or one line that says what is wrong."""

import json
import reprlib
from pathlib import Path
from typing import Any

import yaml

__all__ = ("DocumentError", "load_json", "load_yaml", "show")

LONGEST = 200
"""Characters of a value that an error shows."""


class DocumentError(Exception):
    """A document is none: one line that names the file, the place and the ``problem``."""

    def __init__(self, path: Path, problem: str, line: int | None = None) -> None:
        place = "" if line is None else f", line {line}"
        super().__init__(f"{path}{place} is {problem}")
        self.problem = problem


def load_yaml(path: Path) -> Any:
    """Read a YAML file; raises ``DocumentError`` and ``OSError``."""
    text = _read(path)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, *_MALFORMED) as error:
        mark = getattr(error, "problem_mark", None)
        said = str(getattr(error, "problem", None) or "it cannot be parsed")
        problem = f"not YAML: {' '.join(said.split())}"
        raise DocumentError(path, problem, mark and mark.line + 1) from None


def load_json(path: Path) -> Any:
    """Read a JSON file; raises ``DocumentError`` and ``OSError``."""
    text = _read(path)
    try:
        return json.loads(text)
    except _MALFORMED as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise DocumentError(path, f"not JSON: {said}") from None


def show(value: object) -> str:
    """Give a value as an error shows it, short however large it is.

    YAML lets a few lines stand for a billion items.
    """
    try:
        text = _short.repr(value)
    except ValueError:
        return "a number of thousands of digits"  # which Python does not write
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


# A tag such as !!timestamp gives its text to a function of Python, which raises what it likes.
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)

_short = reprlib.Repr()
_short.maxlevel = 2
_short.maxstring = _short.maxother = _short.maxlong = 80


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DocumentError(path, "not UTF-8 text") from None
