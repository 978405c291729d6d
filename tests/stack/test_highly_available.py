"""The layout as data, and what the native stack makes of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from randsvc.project import ROOT
from randsvc.rules.time_scale import DEMO
from randsvc.stack import highly_available
from randsvc.stack.highly_available import (
    LAYOUT,
    find_book,
    list_addresses,
    make_replicas,
    merge_prometheus,
    read_layout,
    translate,
)
from randsvc.stack.programs import Program, read_prometheus_config


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Program]:
    """Every program by its name; nothing is built, and nothing runs."""
    monkeypatch.setattr(highly_available, "build_programs", lambda *_: tmp_path)
    monkeypatch.setattr(highly_available, "_find_program", lambda name, _: name)
    monkeypatch.setattr("shutil.which", lambda name, **_: name)
    return {one.name: one for one in make_replicas(find_book(free_ports=False), tmp_path)}


def read_overlay() -> dict[str, Any]:
    overlay: dict[str, Any] = yaml.safe_load((LAYOUT / "prometheus.yml").read_text())
    return overlay


def test_no_two_programs_listen_at_one_port(made: dict[str, Program]) -> None:
    listens = [address for program in made.values() for address in program.listens]
    assert sorted(listens) == sorted(list_addresses())
    book = find_book(free_ports=False)
    assert len({book[address] for address in listens}) == len(listens)


def test_every_address_of_the_configurations_is_one_of_the_layout() -> None:
    known = set(list_addresses())
    for path in LAYOUT.iterdir():
        text = path.read_text()
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        for name, port in re.findall(
            r"\b([a-z][a-z-]*(?:-(?:\d|\{replica\}))?):(\d{4,5})\b", "\n".join(lines)
        ):
            for replica in "01":
                assert f"{name.replace('{replica}', replica)}:{port}" in known, path.name


def test_all_addresses_are_replaced(made: dict[str, Program], tmp_path: Path) -> None:
    texts = [path.read_text() for path in (tmp_path / "config").rglob("*") if path.is_file()]
    texts += [" ".join(program.command) for program in made.values()]
    texts += [" ".join(program.env.values()) for program in made.values()]
    assert texts
    for address in list_addresses():
        for text in texts:
            assert not re.search(rf"(?<![\w-]){re.escape(address)}(?!\d)", text)


def test_an_address_inside_another_is_left_alone() -> None:
    book = {"query:1090": "a:1", "sub-query:1090": "b:2"}
    assert translate("sub-query:1090 query:1090 query:10901", book) == "b:2 a:1 query:10901"


def test_each_receiver_knows_itself_in_the_hashring(
    made: dict[str, Program], tmp_path: Path
) -> None:
    for replica in range(3):
        name = f"receive-{replica}"
        (ring,) = json.loads((tmp_path / "config" / name / "hashring.json").read_text())
        (own,) = (
            option.partition("=")[2]
            for option in made[name].command
            if option.startswith("--receive.local-endpoint=")
        )
        assert own in [endpoint["address"] for endpoint in ring["endpoints"]]


def test_both_prometheus_have_the_rules_and_jobs_of_the_stack_of_one_machine() -> None:
    base = read_prometheus_config(DEMO)
    merged = merge_prometheus(base, read_overlay())
    assert merged["rule_files"] == base["rule_files"]
    assert merged["storage"] == base["storage"]
    jobs = {job["job_name"]: job for job in merged["scrape_configs"]}
    for job in base["scrape_configs"]:
        kept = {
            key: value
            for key, value in job.items()
            if key not in ("static_configs", "relabel_configs")
        }
        assert kept.items() <= jobs[job["job_name"]].items()


def test_every_program_is_scraped() -> None:
    scraped = {
        target.rpartition(":")[0].replace("{replica}", replica)
        for job in read_overlay()["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
        for replica in "01"
    }
    outside = {"inbox", "dead-mans-switch", "blackbox-exporter-0", "blackbox-exporter-1"}
    assert scraped >= {address.split(":")[0] for address in list_addresses()} - outside


def test_the_alerts_of_both_prometheus_are_one_alert() -> None:
    (relabel,) = read_overlay()["alerting"]["alert_relabel_configs"]
    base = read_prometheus_config(DEMO)["global"]["external_labels"]
    labels = {**base, **read_overlay()["global"]["external_labels"]}
    assert [label for label in labels if not re.fullmatch(relabel["regex"], label)] == []
    replica_labels = {"replica", "receive_replica"}
    query = read_layout()["programs"]["query"]["command"]
    assert {f"--query.replica-label={label}" for label in replica_labels} <= set(query)


def test_the_watchdog_goes_to_the_dead_mans_switch(
    made: dict[str, Program], tmp_path: Path
) -> None:
    book = find_book(free_ports=False)
    for replica in range(3):
        path = tmp_path / f"config/alertmanager-{replica}/alertmanager.yml"
        receivers = yaml.safe_load(path.read_text())["receivers"]
        urls = {one["name"]: one["webhook_configs"][0]["url"] for one in receivers}
        assert urls["watchdog"] == f"http://{book['dead-mans-switch:9096']}/"
        assert urls["pager"] == f"http://{book['inbox:9095']}/pager"
    assert f"--pager={urls['pager']}" in made["dead-mans-switch"].command


def test_the_exports_of_an_instance_name_it_for_the_balancer(made: dict[str, Program]) -> None:
    balancer = (LAYOUT / "haproxy.cfg").read_text()
    assert "balance hdr(X-Instance)" in balancer
    sent = [
        program.env["OTEL_EXPORTER_OTLP_HEADERS"]
        for name, program in made.items()
        if name.startswith(("randsvc-", "auth-"))
    ]
    assert sorted(sent) == sorted(
        f"X-Instance={name}" for name in ("randsvc-0", "randsvc-1", "auth-0", "auth-1")
    )


def test_each_collector_sends_the_time_of_the_service(made: dict[str, Program]) -> None:
    text = (ROOT / "otel/collector.yaml").read_text()
    assert "send_timestamps: ${env:COLLECTOR_SEND_TIMESTAMPS:-false}" in text
    for replica in range(2):
        assert made[f"otel-collector-{replica}"].env["COLLECTOR_SEND_TIMESTAMPS"] == "true"


def test_replicas_of_the_service_share_what_signs_feedback(made: dict[str, Program]) -> None:
    replicas = [made["randsvc-0"].env, made["randsvc-1"].env]
    for name in ("RANDSVC_FEEDBACK_SECRET", "RANDSVC_FEEDBACK_STORE", "RANDSVC_AUTH_SECRET"):
        assert len({env[name] for env in replicas}) == 1
