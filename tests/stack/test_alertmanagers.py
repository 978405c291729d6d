"""Three Alertmanagers: they agree on what was sent, but only on what was sent of a whole group."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from randsvc.stack.highly_available import find_book, make_replicas
from randsvc.stack.supervisor import Stack, run_programs, wait_until
from tests.support.alertmanager import send_alerts

pytestmark = pytest.mark.native

WITHOUT = ("receive", "store", "compact", "query", "sidecar", "blackbox", "thanos")
PEERS = ("alertmanager-0", "alertmanager-1", "alertmanager-2")
FIRE, OVER = "firing", "resolved"
GROUP_INTERVAL = 10.0
"""Seconds, of a major alert."""
WITHIN = 40.0
"""Seconds: more than the waiting times of a major alert, and those of the peers."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Stack]:
    """The peers, and the inbox."""
    folder = tmp_path_factory.mktemp("alertmanagers")
    book = find_book(free_ports=True)
    made = {one.name: one for one in make_replicas(book, folder, without=WITHOUT)}
    with run_programs([made[name] for name in ("inbox", *PEERS)], book, folder) as running:
        yield running


def list_peers(stack: Stack) -> list[str]:
    """The peers in the order in which they notify: that of their names in the mesh."""

    def read(peer: str) -> Any:
        return json.loads(stack.get(f"{peer}:9093", "/api/v2/status"))["cluster"]

    wait_until(lambda: all(len(read(peer)["peers"]) == len(PEERS) for peer in PEERS), within=WITHIN)
    return sorted(PEERS, key=lambda peer: str(read(peer)["name"]))


def tell(stack: Stack, peer: str, service: str, *names: str, ends_in: float = 300) -> None:
    """Tell a peer that alerts of a service fire, or are over."""
    labels = {"service": service, "level": "major", "time_scale": "demo"}
    alerts = [{"alertname": name, **labels} for name in names]
    send_alerts(stack.url(f"{peer}:9093"), *alerts, ends_in=ends_in)


def list_sent(stack: Stack, service: str) -> list[dict[str, str]]:
    """What was sent of a service, the oldest first: each alert with how it is."""
    sent = json.loads(stack.get("inbox:9095", "/notifications"))
    return [
        {alert["name"]: alert["status"] for alert in each["alerts"]}
        for each in reversed(sent)
        if each["alerts"][0]["service"] == service
    ]


def wait_for(stack: Stack, service: str, **alerts: str) -> None:
    """Wait until the last notification of a service says this."""
    wait_until(lambda: list_sent(stack, service)[-1:] == [alerts], within=WITHIN, every=0.05)


def test_an_alert_that_all_peers_know_is_notified_once(stack: Stack) -> None:
    for peer in PEERS:
        tell(stack, peer, "known", "A")
    wait_for(stack, "known", A=FIRE)
    for peer in PEERS:
        tell(stack, peer, "known", "A", ends_in=0)
    wait_for(stack, "known", A=OVER)
    assert list_sent(stack, "known") == [{"A": FIRE}, {"A": OVER}]


def test_a_peer_that_does_not_know_an_alert_ends_its_group_too(stack: Stack) -> None:
    """What docs/beyond-one-machine.md says of the ends of alerts."""
    first, later, _ = list_peers(stack)
    # Of two services at once, as the times are those of Alertmanager.
    cases = {"ended by the later peer": (first, later), "ended by the first peer": (later, first)}
    for service, (knowing, other) in cases.items():
        tell(stack, knowing, service, "A", "B")
        tell(stack, other, service, "B")
    for service in cases:
        wait_for(stack, service, A=FIRE, B=FIRE)
    for service, (_, other) in cases.items():
        tell(stack, other, service, "B", ends_in=0)
    wait_for(stack, "ended by the later peer", B=OVER)
    for service, (knowing, _) in cases.items():
        tell(stack, knowing, service, "A", "B", ends_in=0)
    wait_for(stack, "ended by the first peer", A=OVER, B=OVER)
    # The later peer knew better when its turn came, and notified again.
    assert list_sent(stack, "ended by the first peer")[-3:] == [
        {"B": OVER},
        {"A": FIRE, "B": FIRE},
        {"A": OVER, "B": OVER},
    ]
    # A ended before the turn of the first peer. For the mesh, the group was over already.
    time.sleep(GROUP_INTERVAL)
    assert list_sent(stack, "ended by the later peer")[-1] == {"B": OVER}
