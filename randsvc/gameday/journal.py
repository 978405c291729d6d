"""What a game day keeps on disk: its sequence, what was caused when, and the teams' reports.

The file has one JSON object a line and only grows, so that a game day that is stopped goes on
where it was, and no report is lost.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from randsvc.errors import ConfigurationError

__all__ = ("NO_INCIDENT", "REPORT_LIMIT", "Journal", "Planned", "Report", "Setup")

NO_INCIDENT = "none"
"""The level of a report that says: this is harmless."""
REPORT_LIMIT = 200
"""Reports of a team."""
NAME = "gameday.jsonl"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Planned:
    """An incident of the sequence by the name of its scenario."""

    scenario: str
    kind: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a game day was started with; ``teams`` maps names to the secrets in their links."""

    seed: int
    minutes: float
    hints: int
    teams: Mapping[str, str]
    sequence: Sequence[Planned]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a team reported at the Unix time ``at``.

    ``began`` is when the incident began, as the team says. ``cause`` is the name of a scenario.
    """

    team: str
    at: float
    began: float
    level: str
    cause: str
    what: str


@dataclass(kw_only=True)
class Journal:
    """A game day as its file has it; times are Unix seconds, incidents are counted from 0.

    ``started`` is None before the first incident may come. ``begun`` and ``ended`` are when an
    incident was caused and undone, ``failed`` says why one could not be caused.
    """

    file: Path
    setup: Setup
    started: float | None = None
    begun: dict[int, float] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, setup: Setup) -> "Journal":
        """Open the game day of a folder, or create it.

        Raises ``ConfigurationError`` if the folder has another game day, or cannot be used.
        """
        file = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                journal = cls(file=file, setup=setup)
                # It holds the solution and the links of the teams.
                file.touch(mode=0o600)
                journal._append("setup", {"version": VERSION, **asdict(setup)})
                return journal
            return _read(file, setup)
        except OSError as error:
            raise ConfigurationError(f"--folder {folder}: {error.strerror}") from None

    @property
    def seconds(self) -> float:
        """How long the game day lasts."""
        return self.setup.minutes * 60

    def start(self, at: float) -> None:
        """Note the start of the game day."""
        self.started = at
        self._append("start", {"at": at})

    def begin(self, incident: int, at: float) -> None:
        """Note that an incident was caused; the first time counts."""
        if incident not in self.begun:
            self.begun[incident] = at
            self._append("begin", {"incident": incident, "at": at})

    def end(self, incident: int, at: float) -> None:
        """Note that an incident was undone."""
        self.ended[incident] = at
        self._append("end", {"incident": incident, "at": at})

    def fail(self, incident: int, why: str) -> None:
        """Note that an incident could not be caused."""
        self.failed[incident] = why
        self._append("fail", {"incident": incident, "why": why})

    def add(self, report: Report) -> None:
        """Keep a report; it is on disk on return."""
        self._append("report", asdict(report))
        self.reports.append(report)

    def _append(self, event: str, content: Mapping[str, Any]) -> None:
        line = json.dumps({"event": event, **content}, allow_nan=False) + "\n"
        with self.file.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def _read(file: Path, setup: Setup) -> Journal:
    text = file.read_bytes()
    # A process that was killed may have left half a line.
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        os.truncate(file, len(whole))
    journal: Journal | None = None
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            node = json.loads(line)
            event = node.pop("event")
            if journal is None:
                journal = Journal(file=file, setup=_read_setup(node))
                _expect_same(file, journal.setup, setup)
            else:
                _replay(journal, event, node)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ConfigurationError(
                f"{file}, line {number}: not written by a game day ({error!r}); choose another "
                "--folder"
            ) from None
    if journal is None:
        raise ConfigurationError(f"{file} is empty: delete it, or choose another --folder")
    return journal


def _read_setup(node: dict[str, Any]) -> Setup:
    if node.pop("version") != VERSION:
        raise ValueError("another version")
    sequence = tuple(Planned(**each) for each in node.pop("sequence"))
    return Setup(sequence=sequence, **node)


def _expect_same(file: Path, found: Setup, wanted: Setup) -> None:
    for option in ("seed", "minutes", "hints"):
        was, now = getattr(found, option), getattr(wanted, option)
        if was != now:
            raise ConfigurationError(
                f"--{option} is {now:g}, but {file} is of a game day with --{option} {was:g}: "
                "repeat its options to go on with it, or choose another --folder"
            )
    if len(found.teams) != len(wanted.teams):
        raise ConfigurationError(
            f"--teams is {len(wanted.teams)}, but {file} is of a game day with --teams "
            f"{len(found.teams)}: repeat its options to go on with it, or choose another --folder"
        )
    if tuple(found.sequence) != tuple(wanted.sequence):
        raise ConfigurationError(
            f"{file} is of a game day with another sequence: the scenarios have changed, or it was "
            "run with another --with-stack; choose another --folder"
        )


def _replay(journal: Journal, event: str, node: Mapping[str, Any]) -> None:
    match event:
        case "start":
            journal.started = float(node["at"])
        case "begin":
            journal.begun[int(node["incident"])] = float(node["at"])
        case "end":
            journal.ended[int(node["incident"])] = float(node["at"])
        case "fail":
            journal.failed[int(node["incident"])] = str(node["why"])
        case "report":
            journal.reports.append(Report(**node))
        case _:
            raise ValueError(f"event {event}")
