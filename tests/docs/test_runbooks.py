"""Every alert has a runbook, and every query in it is one that Prometheus knows."""

import re
from pathlib import Path

import pytest

from randsvc.faults.faults import AUTH_FAULTS, RANDOM_FAULTS
from randsvc.project import ROOT
from randsvc.rules import make_alerts
from randsvc.rules.time_scale import PRODUCTION
from randsvc.web.runbooks import FOLDER
from tests.support.promtool import check_rules

NAMES = sorted({alert.name for alert in make_alerts(PRODUCTION)})
every_name = pytest.mark.parametrize("name", NAMES)


def text(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text()


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == NAMES


@every_name
def test_a_runbook_says_what_it_means_how_to_confirm_how_to_fix_it_and_how_to_cause_it(
    name: str,
) -> None:
    assert re.findall(r"^#+ .*", text(name), re.MULTILINE) == [
        f"# {name}",
        "## What it means for users",
        "## How to confirm",
        "## How to fix it",
        "## How to cause it on purpose",
    ]


@every_name
@pytest.mark.native
def test_every_query_of_a_runbook_is_valid(name: str, tmp_path: Path) -> None:
    _, _, confirm = text(name).partition("## How to confirm")
    found = re.findall(r"^- [^`]+: `(.+)`$", confirm, re.MULTILINE)
    assert found
    rules = [{"record": f"query:{i}", "expr": expr} for i, expr in enumerate(found)]
    done = check_rules(tmp_path, rules)
    assert done.returncode == 0, done.stdout


@every_name
def test_every_fault_and_scenario_of_a_runbook_exists(name: str) -> None:
    _, _, cause = text(name).partition("## How to cause it on purpose")
    scenarios = {path.stem for path in (ROOT / "scenarios").glob("*.yaml")}
    faults = {fault.name for fault in (*RANDOM_FAULTS, *AUTH_FAULTS)}
    assert set(re.findall(r"`([a-z-]+)`", cause)) <= faults | scenarios
