"""What is generated, and that what is committed is that."""

import re
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import yaml

from randsvc import generate
from randsvc.generate import COMMAND, find_changed, generate_files, main
from randsvc.metrics import METRICS
from randsvc.project import ROOT
from randsvc.service.openapi import DOCUMENTS
from randsvc.settings import AuthSettings, Settings


@cache
def files() -> dict[str, str]:
    """What is generated, once, as that takes long."""
    return generate_files()


@pytest.fixture(autouse=True)
def generated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "generate_files", files)


def test_generating_again_changes_no_committed_file() -> None:
    assert find_changed(files(), ROOT) == []


def test_another_process_generates_the_same() -> None:
    code = "from randsvc.generate import generate_files; print(repr(generate_files()), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == repr(files())


def test_it_writes_every_file_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], tmp_path) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{path}: written" for path in sorted(files())]
    for path, text in files().items():
        assert (tmp_path / path).read_text() == text


def test_it_does_not_write_files_that_are_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([], tmp_path)
    (tmp_path / "docs/metrics.md").write_text("edited\n")
    capsys.readouterr()
    assert main([], tmp_path) == 0
    assert capsys.readouterr().out == "docs/metrics.md: written\n"


def test_check_names_what_would_change_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([], tmp_path)
    (tmp_path / "docs/metrics.md").write_text("edited\n")
    (tmp_path / "observability/prometheus/rules/distributions.yml").unlink()
    capsys.readouterr()
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().out == (
        f"docs/metrics.md: would change; run {COMMAND}\n"
        f"observability/prometheus/rules/distributions.yml: would change; run {COMMAND}\n"
    )
    assert (tmp_path / "docs/metrics.md").read_text() == "edited\n"


def test_check_passes_where_nothing_would_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([], tmp_path)
    capsys.readouterr()
    assert main(["--check"], tmp_path) == 0
    assert capsys.readouterr().out == f"all {len(files())} generated files are up to date\n"


def test_a_generated_file_says_so_at_its_top() -> None:
    for path, text in files().items():
        if not path.endswith(".json"):  # which has no comments
            assert COMMAND in "\n".join(text.splitlines()[:2])


def test_rules_are_yaml_with_one_group_a_file() -> None:
    for path, text in files().items():
        if path.endswith(".yml"):
            (group,) = yaml.safe_load(text)["groups"]
            assert Path(path).stem == group["name"]


def test_every_metric_is_in_the_reference() -> None:
    rows = [line for line in files()["docs/metrics.md"].splitlines() if line.startswith("| `")]
    assert len(rows) == len(METRICS)
    for metric, row in zip(METRICS, rows, strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[0] == f"`{metric.name}`"
        assert cells[1] == f"`{metric.prometheus_name}`"
        assert cells[3] == f"`{metric.unit}`"
        assert cells[5] == metric.description
        assert cells[4].count("`") == 2 * len(metric.attributes)


def test_every_setting_and_command_is_in_the_reference_by_its_variable_and_name() -> None:
    text = files()["docs/command-line.md"]
    for settings in (Settings, AuthSettings):
        for field in fields(settings):
            assert f"*[env: {settings.prefix}{field.name.upper()}]*" in text
    usage = re.findall(r"^randsvc (.*)", text, re.MULTILINE)
    assert "scenario run [OPTIONS] NAME" in usage
    assert not any(" -m " in line for line in usage)
    assert str(ROOT) not in text


def test_every_operation_is_in_the_reference_with_its_parameters_and_statuses() -> None:
    sections = files()["docs/endpoints.md"].split("\n## ")[1:]
    operations = [
        (f"{method.upper()} {path}", service, operation)
        for service, document in DOCUMENTS.items()
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    for section, (name, service, operation) in zip(sections, operations, strict=True):
        assert section.startswith(f"{name}\n\nService {service}: ")
        named = re.findall(r"^- `(\w+)`", section, re.MULTILINE)
        assert named == [parameter["name"] for parameter in operation.get("parameters", ())]
        statuses = re.findall(r"^\| (\d+) \| .+ \|$", section, re.MULTILINE)
        assert statuses == list(operation["responses"])
