"""What a folder of work may contain, checked before anything in it is read.

A link could lead to the files of the teacher or of others, and reading a named pipe or a file of a
gigabyte would not end.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ("SKIPPED", "WorkError", "find_file", "inspect_work", "walk")

SKIPPED = {".git", ".venv", "venv", "node_modules", "__pycache__", "__MACOSX"}
"""Folders that belong to tools."""
WORK_BYTES = 32 * 2**20
"""All files of a work together: half of what its sandbox has."""
FILES = 2000
FILE_BYTES = 2**20
"""A file that a person wrote."""


class WorkError(Exception):
    """The work cannot be run: one line about the reason, and the last lines of its output."""


def inspect_work(folder: Path) -> None:
    """Raise ``WorkError`` for work that is too large, or that leads out of its folder."""
    root = folder.resolve()
    size = 0
    for number, path in enumerate(walk(folder), start=1):
        found = path.lstat()
        shown = path.relative_to(folder)
        if stat.S_ISLNK(found.st_mode):
            if not path.resolve().is_relative_to(root):
                raise WorkError(
                    f"{shown} is a link to {path.readlink()}, outside the work: hand in the file"
                )
        elif not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise WorkError(f"{shown} is a {_name_kind(found.st_mode)}, expected a file")
        else:
            size += found.st_size
        if size > WORK_BYTES:
            raise WorkError(
                f"the work is larger than {WORK_BYTES // 2**20} MB with {shown}: hand in only the "
                "files of the exercise"
            )
        if number > FILES:
            raise WorkError(f"the work has more than {FILES} files: hand in only those you wrote")


def find_file(folder: Path, name: str, limit: int = FILE_BYTES) -> Path:
    """Return a file of the work; raises ``WorkError`` if it is missing or too long."""
    path = folder / name
    if path.is_dir():
        raise WorkError(f"{name} is a folder, expected a file")
    if not path.is_file():
        raise WorkError(f"there is no {path}")
    if path.stat().st_size > limit:
        shown = f"{limit // 2**20} MB" if limit >= 2**20 else f"{limit // 1024} kB"
        raise WorkError(f"{name} is longer than {shown}")
    return path


def walk(folder: Path, depth: int | None = None) -> Iterator[Path]:
    """Yield what is below a folder, without following links, and without ``SKIPPED``."""
    for where, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if name not in SKIPPED)
        yield from (Path(where, name) for name in (*names, *sorted(files)))
        if depth is not None and len(Path(where).relative_to(folder).parts) >= depth:
            names.clear()


def _name_kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "named pipe"
    return "socket" if stat.S_ISSOCK(mode) else "device"
