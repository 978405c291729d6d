"""An objective at a whole number of seconds, whose bound Prometheus 3 stores in another way."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from randsvc.rules import DEMO, Slo, make_slo_file
from randsvc.rules.slo import BURN_RATE
from randsvc.stack.addresses import find_free_addresses
from randsvc.stack.programs import make_prometheus_of
from randsvc.stack.supervisor import Stack, run_programs, wait_until

SLO = Slo(
    name="orders-latency",
    alert="ShopOrdersSlow",
    service="shop",
    route="/orders",
    objective=0.9,
    within=1,
)


class Shop(BaseHTTPRequestHandler):
    """Exposes 10 requests per second as other libraries do, with le="1"; half take longer."""

    begun = time.monotonic()

    def do_GET(self) -> None:
        n = 2 * round(5 * (time.monotonic() - self.begun))
        labels = 'http_route="/orders",http_response_status_code="200"'
        name = "http_server_request_duration_seconds"
        lines = [
            f"# TYPE {name} histogram",
            f'{name}_bucket{{{labels},le="1"}} {n // 2}',
            f'{name}_bucket{{{labels},le="+Inf"}} {n}',
            f"{name}_count{{{labels}}} {n}",
            f"{name}_sum{{{labels}}} {n}",
            "",
        ]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write("\n".join(lines).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def prometheus(programs: Path, tmp_path: Path) -> Iterator[Stack]:
    """Run Prometheus with the shop as its target and the objective as its rules."""
    shop = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=shop.serve_forever, args=(0.01,), daemon=True).start()
    (tmp_path / "slo.yml").write_text(make_slo_file([SLO], DEMO, head="Of a test."))
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["slo.yml"],
        "scrape_configs": [
            {
                "job_name": "shop",
                "static_configs": [{"targets": [f"127.0.0.1:{shop.server_port}"]}],
            }
        ],
    }
    book = find_free_addresses()
    program = make_prometheus_of(config, programs, book, tmp_path)
    try:
        with run_programs([program], book, tmp_path) as stack:
            yield stack
    finally:
        shop.shutdown()
        shop.server_close()


def test_an_objective_of_one_second_burns_when_half_of_all_requests_take_longer(
    prometheus: Stack,
) -> None:
    window = DEMO.burns[0].short
    burning = f'{BURN_RATE}{{slo="orders-latency",window="{window}"}} > 0'
    (found,) = wait_until(lambda: prometheus.query(burning), within=30)
    # Half are bad, where a tenth may be.
    assert found.values[-1][1] == pytest.approx(5, abs=0.5)
    bounds = prometheus.query("count by (le) (http_server_request_duration_seconds_bucket)")
    assert {series.labels["le"] for series in bounds} == {"1.0", "+Inf"}
    firing = 'ALERTS{alertname="ShopOrdersSlow",alertstate="firing"}'
    assert wait_until(lambda: prometheus.query(firing), within=60)
