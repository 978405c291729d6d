"""The console beside the real Prometheus: what fires is what it says."""

import json
from typing import Any
from urllib.request import Request, urlopen

import pytest

from randsvc.stack.programs import make_auth, make_randsvc, make_users
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import wait_until

FIRES_WITHIN = 40
"""Seconds; the scenario of this incident allows 20, a busy machine is slower."""


@pytest.mark.usefixtures("programs")
def test_the_console_shows_what_prometheus_says_and_links_to_what_runs() -> None:
    with run_stack(services=[make_randsvc, make_auth, make_users], free_ports=True) as stack:

        def ask(path: str, of: str = "randsvc:9464") -> Any:
            return json.loads(stack.get(of, f"/console/{path}"))

        def states(of: str = "randsvc:9464") -> dict[str, str]:
            answer = ask("alerts", of)
            assert answer["error"] is None
            return {alert["name"]: alert["state"] for alert in answer["alerts"]}

        wait_until(lambda: states().get("RandsvcWatchdog") == "firing", within=FIRES_WITHIN)
        assert "RandsvcRandomFailing" not in states()
        body = b'{"share": 1, "duration": 60}'
        url = stack.url("randsvc:9464", "/faults/errors")
        with urlopen(Request(url, body, method="PUT")):
            pass
        wait_until(lambda: states().get("RandsvcRandomFailing") == "firing", within=FIRES_WITHIN)
        assert states("auth:9465")["RandsvcRandomFailing"] == "firing"

        links = {link["name"]: link["url"] for link in ask("about")["links"]}
        assert links["Alertmanager"] == stack.url("alertmanager:9093")
        for link in links.values():
            with urlopen(link) as response:
                assert response.status == 200

        stack.stop("prometheus")
        wait_until(lambda: ask("alerts")["error"], within=FIRES_WITHIN)
        assert "Cannot connect" in ask("alerts")["error"]
