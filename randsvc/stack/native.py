"""Build the programs of the chain natively, at the versions that docker-compose.yml pins.

``python -m randsvc.stack.native`` prints the folder that holds them as its last line. Each Go
module of the project is built once, into a folder of the user's cache that is named after all that
decides the result.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from randsvc.project import ROOT


class NativeError(Exception):
    """The programs can't be built; the message is one line that says why."""


@dataclass(frozen=True)
class Module:
    """A Go module of the project, and what is built from it.

    ``packages`` by program; ``release`` is the version as the project that makes them counts it;
    ``version_variable`` is what the linker writes it into, as the official builds do.
    """

    folder: Path
    packages: Mapping[str, str]
    release: str
    version_variable: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of ``go build``: no paths of this machine, no state of its clone, no symbols."""
        stamp = f" -X {self.version_variable}={self.release}" if self.version_variable else ""
        return ("-trimpath", "-buildvcs=false", f"-ldflags=-s -w{stamp}")


def modules() -> tuple[Module, ...]:
    """Give what is built, the quickest first."""
    alertmanager = ROOT / "observability/alertmanager/build"
    prometheus = ROOT / "observability/prometheus/build"
    collector = ROOT / "otel/build/collector"
    stamp = "github.com/prometheus/common/version.Version"
    command = "github.com/prometheus/{}/cmd/{}"
    return (
        Module(
            alertmanager,
            {name: command.format("alertmanager", name) for name in ("alertmanager", "amtool")},
            _required(alertmanager, "github.com/prometheus/alertmanager"),
            stamp,
        ),
        Module(
            collector,
            {"otelcol": "."},
            _required(collector, "go.opentelemetry.io/collector/otelcol"),
        ),
        Module(
            prometheus,
            {name: command.format("prometheus", name) for name in ("prometheus", "promtool")},
            # 3.16.0 is the Go module v0.316.0, as a major version above 1 would change its path.
            re.sub(
                r"^0\.(\d+)(\d\d)\.",
                lambda part: f"{part[1]}.{int(part[2])}.",
                _required(prometheus, "github.com/prometheus/prometheus"),
            ),
            stamp,
        ),
    )


def cache() -> Path:
    """Give the folder that builds are kept in: outside the tree, so that every clone finds them."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "randsvc" / "native"


def build(chosen: Sequence[Module] | None = None, *, console: Console | None = None) -> Path:
    """Build what isn't in the cache yet, and give a folder with all of the programs.

    Several may call this at a time: the first builds, the others wait. A build that is cut short
    leaves nothing that looks like one. Raises ``NativeError``.
    """
    chosen = modules() if chosen is None else chosen
    if shutil.which("go") is None:
        raise NativeError("no program `go` in PATH: install Go 1.26 or newer, https://go.dev/dl/")
    cache().mkdir(parents=True, exist_ok=True)
    # Progress is for people; whoever reads stdout wants the folder alone.
    console = console or Console(stderr=True)
    with _locked(cache() / "lock"):
        return _in_one_folder([_built(module, console) for module in chosen])


def main() -> int:
    """Build, and print the folder; progress goes to stderr."""
    try:
        folder = build()
    except NativeError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(str(error), markup=False)
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


def _required(folder: Path, path: str) -> str:
    """Give the version that a go.mod requires of a module, without the leading v."""
    text = (folder / "go.mod").read_text()
    found = re.search(rf"^(?:require)?\s*{re.escape(path)} v(\S+)", text, re.MULTILINE)
    if found is None:
        raise NativeError(f"{folder / 'go.mod'} requires no version of {path}")
    return found[1]


def _built(module: Module, console: Console) -> Path:
    kept = cache() / f"{next(iter(module.packages))}-{_digest(module)}"
    if kept.is_dir():
        return kept
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        Progress(*columns, console=console) as progress,
        tempfile.TemporaryDirectory(dir=cache(), prefix="unfinished-") as unfinished,
    ):
        names = f"{' and '.join(module.packages)} {module.release}"
        task = progress.add_task(f"{names}: building, some minutes the first time", total=1)
        target = Path(unfinished) / "programs"
        target.mkdir()
        _go(module, "build", *module.flags, "-o", f"{target}/", *module.packages.values())
        if module.packages.keys() != {path.name for path in target.iterdir()}:
            # `go build .` names the program after its module.
            (program,) = target.iterdir()
            program.rename(target / next(iter(module.packages)))
        target.rename(kept)
        progress.update(task, description=f"{names}: built", completed=1)
    return kept


def _in_one_folder(folders: Sequence[Path]) -> Path:
    """Link the programs into one folder; hard links, so that a copy of the folder is complete."""
    names = " ".join(folder.name for folder in folders)
    together = cache() / f"all-{_short(hashlib.sha256(names.encode()))}"
    if not together.is_dir():
        with tempfile.TemporaryDirectory(dir=cache(), prefix="unfinished-") as unfinished:
            target = Path(unfinished) / "programs"
            target.mkdir()
            for folder in folders:
                for program in folder.iterdir():
                    (target / program.name).hardlink_to(program)
            target.rename(together)
    return together


def _digest(module: Module) -> str:
    """Hash all that decides the result: sources, flags, and the toolchain that go.mod selects."""
    digest = hashlib.sha256(repr((sorted(module.packages.items()), module.flags)).encode())
    digest.update(_go(module, "env", "GOVERSION", "GOOS", "GOARCH", "CGO_ENABLED").encode())
    for path in sorted(module.folder.iterdir()):
        if path.name in ("go.mod", "go.sum") or path.suffix == ".go":
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return _short(digest)


def _short(digest: "hashlib._Hash") -> str:
    return digest.hexdigest()[:12]


def _go(module: Module, *arguments: str) -> str:
    # Neither a workspace around the clone nor flags set for the machine may change what is built;
    # an empty GOFLAGS would let those flags in. Nothing that go.sum does not know is linked.
    env = os.environ | {"GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    done = subprocess.run(  # noqa: S603
        ("go", *arguments),  # noqa: S607
        cwd=module.folder,
        env=env,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        # Downloads are announced on stderr too, and say nothing about the failure.
        said = [line for line in done.stderr.splitlines() if "downloading" not in line]
        raise NativeError(f"go {arguments[0]} failed in {module.folder}: {' | '.join(said[-3:])}")
    return done.stdout


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
