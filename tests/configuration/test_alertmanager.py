"""Alertmanager's routes, inhibitions and templates, as amtool and Alertmanager itself read them."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from randsvc.project import ROOT
from randsvc.rules import Alert, make_alerts
from randsvc.rules.time_scale import PRODUCTION, SCALES
from randsvc.stack.addresses import find_unused_ports
from randsvc.stack.supervisor import wait_until
from tests.support import native_programs
from tests.support.alertmanager import send_alerts

FOLDER = ROOT / "observability/alertmanager"
CONFIG = FOLDER / "alertmanager.yml"
READ: dict[str, Any] = yaml.safe_load(CONFIG.read_text())


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it, and give what it said on both streams as ``stdout``."""
    return subprocess.run(
        [native_programs.folder() / "amtool", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.native
def test_the_configuration_and_its_templates_are_valid() -> None:
    done = amtool("check-config", CONFIG)
    assert done.returncode == 0, done.stdout
    assert "1 templates" in done.stdout


@pytest.mark.native
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=RandsvcServiceDown", "level=critical"], "pager"),
        (["alertname=RandsvcModelReplaced", "level=major"], "ticket"),
        (["alertname=RandsvcStrangeLoop", "level=minor"], "digest"),
        (["alertname=RandsvcWatchdog", "level=none"], "watchdog"),
        (["alertname=OfSomebodyElse"], "ticket"),
    ],
)
def test_a_level_reaches_its_receiver(labels: list[str], receiver: str, scale: str) -> None:
    done = amtool(
        "config", "routes", "test", f"--config.file={CONFIG}", f"--verify.receivers={receiver}",
        *labels, f"time_scale={scale}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.native
def test_a_level_does_not_reach_another_receiver() -> None:
    done = amtool(
        "config", "routes", "test", f"--config.file={CONFIG}", "--verify.receivers=ticket",
        "level=critical",
    )  # fmt: skip
    assert done.returncode != 0


def route(level: str) -> dict[str, Any]:
    (found,) = (r for r in READ["route"]["routes"] if r["matchers"] == [f'level="{level}"'])
    assert isinstance(found, dict)
    return found


def test_demo_shortens_times_and_changes_nothing_else() -> None:
    for of_level in READ["route"]["routes"]:
        (demo,) = of_level["routes"]
        assert demo["matchers"] == ['time_scale="demo"']
        assert set(demo) - {"matchers"} <= {"group_wait", "group_interval", "repeat_interval"}


def test_critical_is_at_once_and_repeated_and_minor_once_a_day() -> None:
    assert route("critical")["group_wait"] == "10s"
    assert route("critical")["repeat_interval"] == "15m"
    assert route("minor")["group_interval"] == "1d"


def test_every_receiver_is_a_webhook_of_the_inbox() -> None:
    for receiver in READ["receivers"]:
        (webhook,) = receiver["webhook_configs"]
        assert webhook["url"] == f"http://inbox:9095/{receiver['name']}"


def mutes(source: dict[str, str], target: dict[str, str]) -> bool:
    """Whether an alert mutes another, as inhibit_rules have it."""

    def holds(matchers: list[str], labels: dict[str, str]) -> bool:
        for matcher in matchers:
            found = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher)
            assert found is not None, matcher
            name, operator, value = found.groups()
            pattern = value if "~" in operator else re.escape(value)
            if bool(re.fullmatch(pattern, labels[name])) is operator.startswith("!"):
                return False
        return True

    return any(
        holds(rule["source_matchers"], source)
        and holds(rule["target_matchers"], target)
        and all(source[name] == target[name] for name in rule["equal"])
        for rule in READ["inhibit_rules"]
    )


def labelled(alert: Alert) -> dict[str, str]:
    return {"alertname": alert.name, **alert.make_labels(PRODUCTION)}


def find(name: str, level: str, service: str) -> dict[str, str]:
    (found,) = (
        labelled(a)
        for a in make_alerts(PRODUCTION)
        if (a.name, a.level, a.service) == (name, level, service)
    )
    return found


@pytest.mark.parametrize("service", ["randsvc", "auth"])
def test_a_service_that_is_down_mutes_all_else_about_it_and_nothing_of_others(service: str) -> None:
    down = find("RandsvcServiceDown", "critical", service)
    for target in map(labelled, make_alerts(PRODUCTION)):
        consequence = target["service"] == service and target != down
        assert mutes(down, target) is consequence, target


def test_that_nobody_can_log_in_mutes_the_probe_and_the_burn() -> None:
    nobody = find("RandsvcNobodyCanLogIn", "critical", "auth")
    assert mutes(nobody, find("RandsvcNotAnswering", "critical", "auth"))
    assert mutes(nobody, find("RandsvcLoginFailing", "critical", "auth"))
    assert not mutes(nobody, find("RandsvcServiceDown", "critical", "auth"))
    assert not mutes(nobody, find("RandsvcNotAnswering", "critical", "randsvc"))


def test_a_worse_alert_mutes_a_lesser_one_and_never_the_other_way_round() -> None:
    order = ["critical", "major", "minor"]
    burns = [labelled(a) for a in make_alerts(PRODUCTION) if a.name == "RandsvcRandomFailing"]
    for source in burns:
        for target in burns:
            worse = order.index(source["level"]) < order.index(target["level"])
            assert mutes(source, target) is worse


def test_no_two_alerts_mute_each_other() -> None:
    every = [labelled(alert) for alert in make_alerts(PRODUCTION)]
    for one in every:
        for other in every:
            assert not (mutes(one, other) and mutes(other, one)), (one, other)


CAUSES = ("RandsvcRandomFailing", "RandsvcRandomSlow")


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """Run the real program with the configuration as it is; give its address."""
    (port,) = find_unused_ports(1)
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [
            native_programs.folder() / "alertmanager",
            f"--config.file={CONFIG}",
            f"--storage.path={tmp_path}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: is_ready(url), within=30)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def is_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def states(url: str) -> dict[str, str]:
    with urlopen(f"{url}/api/v2/alerts") as answer:
        return {a["labels"]["alertname"]: a["status"]["state"] for a in json.load(answer)}


@pytest.mark.native
@pytest.mark.parametrize("first", CAUSES)
def test_a_target_stays_muted_until_the_last_of_its_sources_resolves(
    alertmanager: str, first: str
) -> None:
    """0.31 let the target through when either of two sources had resolved."""
    (last,) = set(CAUSES) - {first}
    target = find("RandsvcSheddingLoad", "major", "randsvc")
    sources = {name: find(name, "critical", "randsvc") for name in CAUSES}
    for labels in (*sources.values(), target):
        send_alerts(alertmanager, labels, ends_in=300)
    wait_until(lambda: states(alertmanager).get(target["alertname"]) == "suppressed", within=60)
    send_alerts(alertmanager, sources[first], ends_in=0)
    wait_until(lambda: first not in states(alertmanager), within=60)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert states(alertmanager) == {last: "active", target["alertname"]: "suppressed"}
        time.sleep(0.1)
    send_alerts(alertmanager, sources[last], ends_in=0)
    wait_until(lambda: states(alertmanager) == {target["alertname"]: "active"}, within=60)


def test_demo_mutes_nothing_of_production() -> None:
    down = find("RandsvcServiceDown", "critical", "randsvc") | {"time_scale": "demo"}
    assert not mutes(down, find("RandsvcModelReplaced", "major", "randsvc"))


DATA: dict[str, Any] = {
    "receiver": "ticket",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "RandsvcModelReplaced", "level": "major", "service": "randsvc"},
            "annotations": {
                "summary": "/random: 98% of predictions come from the fallback",
                "description": "The model fails.",
                "runbook_url": "http://localhost:9095/runbooks/RandsvcModelReplaced",
                "dashboard_url": "http://localhost:3000/d/randsvc-ml?var-job=x&from=now-6h&to=now",
            },
            "startsAt": "2026-01-02T03:04:05Z",
            "endsAt": "2026-01-02T03:14:05Z",
        }
    ],
    "commonLabels": {"level": "major", "service": "randsvc"},
}


def rendered(template: str, data: dict[str, Any], folder: Path) -> str:
    return render(f'{{{{ template "{template}" . }}}}', data, folder)


def render(text: str, data: dict[str, Any], folder: Path) -> str:
    (folder / "data.json").write_text(json.dumps(data))
    done = amtool(
        "template", "render", f"--template.glob={FOLDER}/templates/*.tmpl",
        f"--template.text={text}",
        f"--template.data={folder / 'data.json'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


RESOLVED = DATA | {"status": "resolved", "alerts": [DATA["alerts"][0] | {"status": "resolved"}]}


@pytest.mark.native
def test_a_mail_shows_who_is_affected_level_times_runbook_and_dashboard(tmp_path: Path) -> None:
    assert rendered("randsvc.text", DATA, tmp_path).splitlines() == [
        "/random: 98% of predictions come from the fallback",
        "  level:     major",
        "  fired:     since 2026-01-02 03:04:05 UTC",
        "  meaning:   The model fails.",
        "  runbook:   http://localhost:9095/runbooks/RandsvcModelReplaced",
        "  dashboard: http://localhost:3000/d/randsvc-ml?var-job=x&from=1767322445000&to=now",
    ]


@pytest.mark.native
def test_a_resolved_alert_shows_its_end_and_the_dashboard_of_its_time(tmp_path: Path) -> None:
    lines = rendered("randsvc.text", RESOLVED, tmp_path).splitlines()
    assert lines[2].endswith("since 2026-01-02 03:04:05 UTC, resolved at 2026-01-02 03:14:05 UTC")
    assert lines[5].endswith("&from=1767322445000&to=1767324245000")


@pytest.mark.native
def test_a_slack_message_has_links_and_the_colour_of_its_level(tmp_path: Path) -> None:
    assert rendered("randsvc.slack", DATA, tmp_path).splitlines() == [
        "*/random: 98% of predictions come from the fallback*",
        "The model fails.",
        "_RandsvcModelReplaced, major, fired since 2026-01-02 03:04:05 UTC_",
        "<http://localhost:9095/runbooks/RandsvcModelReplaced|Runbook> "
        "<http://localhost:3000/d/randsvc-ml?var-job=x&from=1767322445000&to=now|Dashboard>",
    ]
    colours = {
        level: rendered("randsvc.colour", DATA | {"commonLabels": {"level": level}}, tmp_path)
        for level in ("critical", "major", "minor")
    }
    assert len({*colours.values(), rendered("randsvc.colour", RESOLVED, tmp_path)}) == 4


def make_production() -> dict[str, Any]:
    """Read the configuration with the receivers that are ready to be filled in."""
    inbox = ("    webhook_configs:", "      - url:", "        send_resolved:")
    lines = (line for line in CONFIG.read_text().splitlines() if not line.startswith(inbox))
    found: dict[str, Any] = yaml.safe_load("\n".join(lines).replace("    #| ", "    "))
    return found


@pytest.mark.native
def test_the_receivers_of_production_are_ready_to_be_filled_in(tmp_path: Path) -> None:
    config = make_production()
    kinds = {r["name"]: [key for key in r if key != "name"] for r in config["receivers"]}
    assert kinds == {
        "pager": ["pagerduty_configs"],
        "ticket": ["slack_configs"],
        "digest": ["email_configs"],
        "watchdog": ["webhook_configs"],
    }
    config["templates"] = [str(FOLDER / "templates/*.tmpl")]
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
    done = amtool("check-config", tmp_path / "alertmanager.yml")
    assert done.returncode == 0, done.stdout


@pytest.mark.native
def test_every_template_of_a_receiver_renders(tmp_path: Path) -> None:
    texts = re.findall(r"'(\{\{.*\}\})'", CONFIG.read_text())
    assert len(texts) >= 8
    for text in texts:
        assert render(text, DATA, tmp_path), text


@pytest.mark.native
def test_a_subject_shows_level_service_and_alert(tmp_path: Path) -> None:
    subject = rendered("randsvc.subject", DATA, tmp_path)
    assert subject == "[MAJOR] randsvc: RandsvcModelReplaced"


@pytest.mark.native
def test_a_subject_says_that_it_is_resolved(tmp_path: Path) -> None:
    subject = rendered("randsvc.subject", DATA | {"status": "resolved"}, tmp_path)
    assert subject == "[MAJOR, resolved] randsvc: RandsvcModelReplaced"


def test_every_alert_that_is_named_exists() -> None:
    names = {alert.name for alert in make_alerts(PRODUCTION)}
    text = json.dumps(READ)
    for name in ("RandsvcServiceDown", "RandsvcNobodyCanLogIn", "RandsvcNotAnswering"):
        assert name in text
        assert name in names
