"""Build the programs of the stack natively, at the versions that docker-compose.yml pins.

``python -m randsvc.stack.build`` prints the folder with the programs as its last line. Each Go
module of the project is built once, into a folder of the user's cache whose name is a hash of
everything that decides the result.
"""

import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from randsvc.project import ROOT

_NO_ALERTMANAGER_PAGES = b"""<!doctype html><html lang="en"><meta charset="utf-8">
<title>Alertmanager</title><h1>Alertmanager</h1>
<p>This native build has no web pages; the container image has them. Its API answers:
<a href="api/v2/alerts">alerts</a>, <a href="api/v2/silences">silences</a>,
<a href="api/v2/status">status</a>.</p></html>
"""
_NO_PROMETHEUS_PAGES = b"""<!doctype html><html lang="en"><meta charset="utf-8">
<title>Prometheus</title><h1>Prometheus</h1>
<p>This native build has no web pages, as Node.js could not build them: <code>make tools</code>
says why. Its API answers: <a href="/api/v1/query?query=up">query</a>,
<a href="/api/v1/alerts">alerts</a>, <a href="/api/v1/rules">rules</a>,
<a href="/api/v1/targets">targets</a>.</p></html>
"""


_EMBED = b"""//go:build builtinassets

package ui

import "embed"

//go:embed static
var EmbedFS embed.FS
"""


class BuildError(Exception):
    """The programs cannot be built; the message is one line that says why."""


class PagesError(Exception):
    """Web pages cannot be built; the message is one line that says why."""


@dataclass(frozen=True)
class GoModule:
    """A Go module of the project, and the programs to build from it.

    ``packages`` holds the Go package of each program. ``release`` is the upstream version, which
    the linker writes into ``version_variable``, as the official builds do. ``placeholders`` are
    files that the sources of the module ``upstream`` embed, but its published module lacks: they
    are added to a copy of it. ``web`` is a folder of the project that builds the web pages whose
    sources the module ``upstream`` has. ``tags`` are build tags. A ``static`` program loads no C
    library.
    """

    folder: Path
    packages: Mapping[str, str]
    release: str
    version_variable: str = ""
    upstream: str = ""
    placeholders: Mapping[str, bytes] = field(default_factory=dict)
    web: Path | None = None
    tags: str = ""
    static: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of ``go build``: no paths of this machine, no state of its clone, no symbols."""
        stamp = f" -X {self.version_variable}={self.release}" if self.version_variable else ""
        tags = (f"-tags={self.tags}",) if self.tags else ()
        return ("-trimpath", "-buildvcs=false", f"-ldflags=-s -w{stamp}", *tags)


def list_modules() -> tuple[GoModule, ...]:
    """List the modules of the stack of one machine, the quickest build first."""
    alertmanager = ROOT / "observability/alertmanager/build"
    prometheus = ROOT / "observability/prometheus/build"
    collector = ROOT / "otel/build/collector"
    victorialogs = ROOT / "observability/victorialogs/build"
    stamp = "github.com/prometheus/common/version.Version"
    command = "github.com/prometheus/{}/cmd/{}"
    return (
        GoModule(
            victorialogs,
            {"victoria-logs": "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs"},
            find_version(victorialogs, "github.com/VictoriaMetrics/VictoriaLogs"),
            "github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version",
        ),
        GoModule(
            alertmanager,
            {name: command.format("alertmanager", name) for name in ("alertmanager", "amtool")},
            find_version(alertmanager, "github.com/prometheus/alertmanager"),
            stamp,
            upstream="github.com/prometheus/alertmanager",
            # Its web pages are compiled from other languages when it is released, and compressed.
            placeholders={
                f"ui/app/dist/{page}/index.html.{suffix}": compressed
                for page in ("elm", "mantine")
                for suffix, compressed in (
                    ("gz", gzip.compress(_NO_ALERTMANAGER_PAGES, mtime=0)),
                    ("br", _store_as_brotli(_NO_ALERTMANAGER_PAGES)),
                )
            },
        ),
        GoModule(
            collector,
            {"otelcol": "."},
            find_version(collector, "go.opentelemetry.io/collector/otelcol"),
        ),
        GoModule(
            prometheus,
            {name: command.format("prometheus", name) for name in ("prometheus", "promtool")},
            # 3.16.0 is the Go module v0.316.0, as a major version above 1 would change its path.
            re.sub(
                r"^0\.(\d+)(\d\d)\.",
                lambda part: f"{part[1]}.{int(part[2])}.",
                find_version(prometheus, "github.com/prometheus/prometheus"),
            ),
            stamp,
            upstream="github.com/prometheus/prometheus",
            # As its scripts/compress_assets.sh does for a release.
            tags="builtinassets",
            placeholders={
                "web/ui/embed.go": _EMBED,
                "web/ui/static/mantine-ui/index.html": _NO_PROMETHEUS_PAGES,
            },
            web=prometheus / "web",
        ),
    )


def make_jaeger_module() -> GoModule:
    """Make the module of Jaeger, which few runs of the stack need, and which takes the longest."""
    folder = ROOT / "observability/jaeger/build"
    path = "github.com/jaegertracing/jaeger"
    # 2.13.0 is the Go module v1.76.0: both majors have been released from one source.
    _, minor, patch = find_version(folder, path).split(".")
    return GoModule(
        folder,
        {"jaeger": f"{path}/cmd/jaeger"},
        f"2.{int(minor) - 63}.{patch}",
        f"{path}/internal/version.latestVersion",
    )


def make_thanos_module() -> GoModule:
    """Make the module of Thanos, which only the highly available layout needs."""
    folder = ROOT / "observability/thanos/build"
    return GoModule(
        folder,
        {"thanos": "github.com/thanos-io/thanos/cmd/thanos"},
        find_version(folder, "github.com/thanos-io/thanos"),
        "github.com/prometheus/common/version.Version",
        # As in the official builds; without it, a query panics.
        tags="slicelabels",
    )


def find_cache() -> Path:
    """Return the folder of all builds: outside the tree, so that every clone shares it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "randsvc" / "native"


def build_programs(
    chosen: Sequence[GoModule] | None = None, *, console: Console | None = None
) -> Path:
    """Build the programs that the cache lacks, and return a folder with all programs.

    The default is ``list_modules()``. Where Node.js cannot build web pages, one line says why, and
    the program has none. Of several callers at a time, the first builds and the others wait. An
    interrupted build leaves nothing in the cache. Raises ``BuildError``.
    """
    chosen = list_modules() if chosen is None else chosen
    if shutil.which("go") is None:
        raise BuildError("no program `go` in PATH: install Go 1.26 or newer, https://go.dev/dl/")
    find_cache().mkdir(parents=True, exist_ok=True)
    # stdout holds the folder alone, for scripts.
    console = console or Console(stderr=True)
    with _locked(find_cache() / "lock"):
        return _link_into_one_folder([_build(module, console) for module in chosen])


def _list_everything() -> tuple[GoModule, ...]:
    return (*list_modules(), make_thanos_module(), make_jaeger_module())


def main(list_chosen: Callable[[], Sequence[GoModule]] = _list_everything) -> int:
    """Build programs, all by default, and print the folder; progress goes to stderr."""
    try:
        folder = build_programs(list_chosen())
    except BuildError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(str(error), markup=False)
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


def find_version(folder: Path, path: str) -> str:
    """Return the version of a module that a go.mod requires, without the leading v."""
    text = (folder / "go.mod").read_text()
    found = re.search(rf"^(?:require)?\s*{re.escape(path)} v(\S+)", text, re.MULTILINE)
    if found is None:
        raise BuildError(f"{folder / 'go.mod'} requires no version of {path}")
    return found[1]


def _build(module: GoModule, console: Console) -> Path:
    names = f"{' and '.join(module.packages)} {module.release}"
    if module.web:
        try:
            module = _replace_pages(module, _build_pages(module, module.web, console))
        except PagesError as error:
            console.print(f"{names} has no web pages: {error}", markup=False, highlight=False)
    kept = find_cache() / f"{next(iter(module.packages))}-{_hash_inputs(module)}"
    if kept.is_dir():
        return kept
    with _unfinished(f"{names}: building; the first build takes some minutes", console) as folder:
        target = folder / "programs"
        target.mkdir()
        modfile = _add_placeholders(module, folder) if module.placeholders else ()
        _go(module, "build", *module.flags, *modfile, "-o", f"{target}/", *module.packages.values())
        if module.packages.keys() != {path.name for path in target.iterdir()}:
            # `go build .` names the program after its module.
            (program,) = target.iterdir()
            program.rename(target / next(iter(module.packages)))
        target.rename(kept)
    return kept


def _build_pages(module: GoModule, web: Path, console: Console) -> Path:
    """Build web pages once, from the sources in the upstream module; return their folder."""
    digest = hashlib.sha256(module.release.encode())
    files = sorted(path for path in web.iterdir() if path.is_file())
    for path in files:
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    name = next(iter(module.packages))
    kept = find_cache() / f"{name}-pages-{_short(digest)}"
    if kept.is_dir():
        return kept
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise PagesError(f"no program `{program}` in PATH: install Node.js 20.19 or newer")
    sources = download_upstream(module) / "web/ui"
    with _unfinished(f"{name} {module.release}: building its web pages", console) as folder:
        for part in ("mantine-ui", "module"):
            _copy(sources / part, folder / part)
        for path in files:
            shutil.copyfile(path, folder / path.name)
        _npm(folder, "ci")
        _npm(folder, "run", "build")
        (folder / "static").rename(kept)
    return kept


def _replace_pages(module: GoModule, pages: Path) -> GoModule:
    """Replace the placeholder of the web pages by the pages."""
    files = (path for path in pages.rglob("*") if path.is_file())
    built = {f"web/ui/static/{path.relative_to(pages)}": path.read_bytes() for path in files}
    return replace(module, placeholders={**module.placeholders, **built})


def _npm(folder: Path, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603
        ("npm", *arguments),  # noqa: S607
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        # npm ends with where its log is.
        said = [line for line in done.stderr.splitlines() if line and "debug-0.log" not in line]
        raise PagesError(f"npm {' '.join(arguments[:2])} failed: {' | '.join(said[:3])}")


@contextmanager
def _unfinished(task: str, console: Console) -> Iterator[Path]:
    """Give a folder in the cache that is deleted at the end, and show the time that it takes."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        Progress(*columns, console=console) as progress,
        tempfile.TemporaryDirectory(dir=find_cache(), prefix="unfinished-") as folder,
    ):
        shown = progress.add_task(task, total=1)
        yield Path(folder)
        progress.update(shown, completed=1)


def _add_placeholders(module: GoModule, folder: Path) -> tuple[str]:
    """Copy the upstream module with the files that it lacks; return the flag that uses the copy."""
    source = folder / "source"
    _copy(download_upstream(module), source)
    for name, content in module.placeholders.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    modfile = folder / "go.mod"
    required = (module.folder / "go.mod").read_text()
    modfile.write_text(f"{required}\nreplace {module.upstream} => {source}\n")
    shutil.copyfile(module.folder / "go.sum", folder / "go.sum")
    return (f"-modfile={modfile}",)


def download_upstream(module: GoModule) -> Path:
    """Return the folder of the upstream module, for which go.sum vouches. Raises ``BuildError``."""
    # With the version, go reads no module but this one.
    wanted = f"{module.upstream}@v{find_version(module.folder, module.upstream)}"
    found = json.loads(_go(module, "mod", "download", "-json", wanted))
    return Path(found["Dir"])


def _copy(source: Path, target: Path) -> None:
    """Copy a folder of the module cache, which is read-only, to one that can be changed."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for directory, _, _ in os.walk(target):
        Path(directory).chmod(0o755)


def _link_into_one_folder(folders: Sequence[Path]) -> Path:
    """Link the programs into one folder, by hard links, so that a copy of the folder works."""
    names = " ".join(folder.name for folder in folders)
    together = find_cache() / f"all-{_short(hashlib.sha256(names.encode()))}"
    if not together.is_dir():
        with tempfile.TemporaryDirectory(dir=find_cache(), prefix="unfinished-") as unfinished:
            target = Path(unfinished) / "programs"
            target.mkdir()
            for folder in folders:
                for program in folder.iterdir():
                    (target / program.name).hardlink_to(program)
            target.rename(together)
    return together


def _hash_inputs(module: GoModule) -> str:
    """Hash everything that decides the result: sources, flags, the toolchain by go.mod."""
    settings = (sorted(module.packages.items()), module.flags, sorted(module.placeholders.items()))
    digest = hashlib.sha256(repr(settings).encode())
    digest.update(_go(module, "env", "GOVERSION", "GOOS", "GOARCH", "CGO_ENABLED").encode())
    for path in sorted(module.folder.iterdir()):
        if path.name in ("go.mod", "go.sum") or path.suffix == ".go":
            digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return _short(digest)


def _store_as_brotli(content: bytes) -> bytes:
    """Wrap up to 65,536 bytes as a Brotli stream of one uncompressed meta-block, RFC 7932, 9.2.

    Browsers ask for Brotli, and Python has none.
    """
    header = 1 << 20 | len(content) - 1 << 4  # ISUNCOMPRESSED, MLEN - 1; all else is 0
    return header.to_bytes(3, "little") + content + b"\x03"  # ISLAST, ISLASTEMPTY


def _short(digest: "hashlib._Hash") -> str:
    return digest.hexdigest()[:12]


def _go(module: GoModule, *arguments: str) -> str:
    # Neither a workspace around the clone nor the machine's GOFLAGS may change the result; an empty
    # GOFLAGS would let those in. `readonly` links only modules that go.sum lists.
    env = os.environ | {"GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    if module.static:
        env["CGO_ENABLED"] = "0"
    done = subprocess.run(  # noqa: S603
        ("go", *arguments),  # noqa: S607
        cwd=module.folder,
        env=env,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        # Lines about downloads on stderr say nothing about the failure.
        said = [line for line in done.stderr.splitlines() if "downloading" not in line]
        raise BuildError(f"go {arguments[0]} failed in {module.folder}: {' | '.join(said[-3:])}")
    return done.stdout


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
