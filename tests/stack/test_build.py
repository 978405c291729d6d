"""Building the native programs: what is pinned, and the cache."""

import json
import os
import re
import shutil
import subprocess
import threading
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from randsvc.project import ROOT
from randsvc.stack.build import (
    BuildError,
    GoModule,
    build_programs,
    find_cache,
    list_modules,
    main,
    make_jaeger_module,
)

COLLECTOR = ROOT / "otel/build/collector"


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give the test a cache of its own, but for what Go itself caches."""
    if shutil.which("go") is None:
        pytest.skip("the build of native programs is not tested: there is no Go")
    gocache = subprocess.run(["go", "env", "GOCACHE"], check=True, capture_output=True, text=True)
    monkeypatch.setenv("GOCACHE", gocache.stdout.strip())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def module(tmp_path: Path) -> GoModule:
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "go.mod").write_text("module example/hello\n\ngo 1.21\n")
    (folder / "main.go").write_text(
        "package main\n\nvar version string\n\nfunc main() { print(version) }\n"
    )
    return GoModule(folder, {"greet": "."}, "1.2.3", "main.version")


def test_the_releases_are_those_of_the_images() -> None:
    env = dict(re.findall(r"^(\w+)_VERSION=v?(\S+)$", (ROOT / ".env").read_text(), re.MULTILINE))
    releases = {next(iter(built.packages)): built.release for built in list_modules()}
    assert releases == {
        "alertmanager": env["ALERTMANAGER"],
        "otelcol": env["COLLECTOR"],
        "prometheus": env["PROMETHEUS"],
        "victoria-logs": env["VICTORIALOGS"],
    }


def test_the_collector_has_the_components_of_its_manifest() -> None:
    manifest = yaml.safe_load((ROOT / "otel/build/manifest.yaml").read_text())
    named = {
        component["gomod"]
        for kind in ("receivers", "processors", "exporters", "extensions", "providers")
        for component in manifest[kind]
    }
    sources = "".join(path.read_text() for path in COLLECTOR.glob("*.go"))
    assert set(re.findall(r'\(\): +"(\S+ v\S+)"', sources)) == named
    required = (COLLECTOR / "go.mod").read_text()
    assert {gomod for gomod in named if f"\t{gomod}\n" not in required} == set()


def test_the_generator_of_the_collector_has_the_version_of_its_components() -> None:
    text = (ROOT / "otel/build/manifest.yaml").read_text()
    assert set(re.findall(r"cmd/builder@v(\S+)", text)) == {yaml.safe_load(text)["dist"]["version"]}


@pytest.mark.usefixtures("go")
def test_a_program_is_built_with_its_release(module: GoModule) -> None:
    program = build_programs([module]) / "greet"
    said = subprocess.run([program], check=True, capture_output=True, text=True)
    assert said.stderr == "1.2.3"


@pytest.mark.usefixtures("go")
def test_a_build_is_reused(module: GoModule) -> None:
    first = (build_programs([module]) / "greet").stat()
    again = (build_programs([module]) / "greet").stat()
    assert (again.st_ino, again.st_mtime_ns) == (first.st_ino, first.st_mtime_ns)


@pytest.mark.usefixtures("go")
@pytest.mark.parametrize("name", ["go.mod", "main.go"])
def test_a_changed_source_is_built_again(module: GoModule, name: str) -> None:
    before = build_programs([module])
    with (module.folder / name).open("a") as file:
        file.write("// changed\n")
    assert build_programs([module]) != before


@pytest.mark.usefixtures("go")
def test_concurrent_builds_have_one_result(module: GoModule) -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(build_programs([module]))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert [path.name for path in found[0].iterdir()] == ["greet"]


@pytest.mark.usefixtures("go")
def test_a_build_that_fails_says_why_in_one_line_and_leaves_nothing(module: GoModule) -> None:
    (module.folder / "main.go").write_text("package main\n\nfunc main() { nonsense }\n")
    with pytest.raises(BuildError, match=r"^go build failed in .*undefined: nonsense$"):
        build_programs([module])
    assert [path.name for path in find_cache().iterdir()] == ["lock"]


@pytest.mark.usefixtures("go")
def test_without_node_a_program_is_built_without_pages_and_one_line_says_why(
    module: GoModule, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/go").symlink_to(shutil.which("go") or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    said = StringIO()
    pages = replace(module, web=tmp_path / "bin")
    programs = build_programs([pages], console=Console(file=said, soft_wrap=True))
    assert (programs / "greet").is_file()
    assert [line for line in said.getvalue().splitlines() if "pages" in line] == [
        "greet 1.2.3 has no web pages: no program `node` in PATH: install Node.js 20.19 or newer"
    ]


@pytest.mark.usefixtures("go")
def test_pages_that_cannot_be_built_are_named_with_what_npm_says(
    module: GoModule, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for part in ("mantine-ui", "module"):
        (tmp_path / "upstream/web/ui" / part).mkdir(parents=True)
    monkeypatch.setattr("randsvc.stack.build.download_upstream", lambda _: tmp_path / "upstream")
    (tmp_path / "bin").mkdir()
    for name in ("node", "npm"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\necho no network >&2; exit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    said = StringIO()
    pages = replace(module, web=tmp_path / "bin")
    programs = build_programs([pages], console=Console(file=said, soft_wrap=True))
    assert (programs / "greet").is_file()
    assert "greet 1.2.3 has no web pages: npm ci failed: no network\n" in said.getvalue()
    assert {path.name.split("-")[0] for path in find_cache().iterdir()} == {"all", "greet", "lock"}


def test_the_pages_are_pinned_by_hash_without_the_address_of_a_registry() -> None:
    lock = json.loads((ROOT / "observability/prometheus/build/web/package-lock.json").read_text())
    packages = [package for path, package in lock["packages"].items() if path]
    assert len(packages) > 100
    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert not any("resolved" in package for package in packages)


def test_jaeger_is_that_release_of_version_2_whose_go_module_is_of_version_1() -> None:
    assert make_jaeger_module().release == "2.13.0"


@pytest.mark.usefixtures("go")
def test_flags_of_the_machine_are_ignored(
    module: GoModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-nonsense")
    assert (build_programs([module]) / "greet").is_file()


def test_without_go_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "no program `go` in PATH: install Go 1.26 or newer, https://go.dev/dl/\n"
