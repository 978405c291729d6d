"""docs/monitor-your-own-app.md, followed word for word on the real programs."""

import json
import os
import re
import socket
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml

from randsvc.dashboards import list_queries
from randsvc.project import ROOT
from randsvc.prometheus_api import Prometheus, Series
from randsvc.stack.addresses import find_unused_ports
from randsvc.stack.supervisor import wait_until
from tests.support import native_programs

pytestmark = pytest.mark.native

PAGE = ROOT / "docs/monitor-your-own-app.md"
NAMED = re.compile(r"# (\S+\.(?:py|yml))\n")
"""The first line of a block that is a file."""
DONE = "the block is done:"
LISTEN_WITHIN = 60
"""Seconds in which a program that goes on running listens; a busy machine is no defect."""
PANELS = list(
    dict.fromkeys(
        (query.dashboard, query.panel)
        for query in list_queries()
        if query.dashboard in ("golden-signals", "incidents")
        # A share needs a limit, and the shop has none: the page says so.
        and query.panel != "Saturation"
    )
)


@dataclass(frozen=True)
class Block:
    """A block of the page: the number of its step, its language and its text."""

    step: int
    language: str
    text: str


def blocks() -> list[Block]:
    """Every block, in the order of the page."""
    found = []
    for section in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        step = int(section.split(".")[0])
        fenced = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        found += [Block(step, *block) for block in fenced]
    return found


class Reader:
    """Somebody who follows the page in one shell, on ports that are free.

    ``ports`` are the free ones by those of the page.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = (8080, 9090, 4317, 4318, 8888, 8889, 13133)
        self.ports = dict(zip(ports, find_unused_ports(len(ports)), strict=True))
        at = {port: f"127.0.0.1:{free}" for port, free in self.ports.items()}
        settings = ("OTEL_", "RANDSVC_", "COLLECTOR_", "PYTHON")
        env = {name: text for name, text in os.environ.items() if not name.startswith(settings)}
        env |= {
            "PATH": f"{Path(sys.executable).parent}:{native_programs.folder()}:{env['PATH']}",
            "COLLECTOR_OTLP_GRPC": at[4317],
            "COLLECTOR_OTLP_HTTP": at[4318],
            "COLLECTOR_PROMETHEUS": at[8889],
            "COLLECTOR_HEALTH_CHECK": at[13133],
            "COLLECTOR_TELEMETRY_HOST": "127.0.0.1",
            "COLLECTOR_TELEMETRY_PORT": str(self.ports[8888]),
        }
        self._shell = subprocess.Popen(
            ["bash", "-m"],  # with the job control that a terminal has
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def follow(self, step: int) -> str:
        """Do what a step says, and give what its commands said."""
        return "".join(self._do(block) for block in blocks() if block.step == step)

    def query(self, promql: str) -> list[Series]:
        """What Prometheus answers."""
        return Prometheus(f"http://127.0.0.1:{self.ports[9090]}").query(promql)

    def get(self, port: int, path: str) -> str:
        """What is at a port of the page."""
        with urlopen(f"http://127.0.0.1:{self.ports[port]}{path}") as response:
            text: str = response.read().decode()
            return text

    def leave(self) -> None:
        """End the shell, and what it left running."""
        with self._shell as shell:
            assert shell.stdin
            shell.stdin.write("kill $(jobs -p); exit\n")

    def _do(self, block: Block) -> str:
        text = re.sub(
            rf"\b({'|'.join(map(str, self.ports))})\b",
            lambda port: str(self.ports[int(port[1])]),
            block.text,
        )
        if name := NAMED.match(text):
            path = self.folder / name[1]
            path.write_text(text)
            return ""
        return self._run(text) if block.language == "bash" else ""

    def _run(self, commands: str) -> str:
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(
            f"failed=0; trap failed=1 ERR\n{commands}\necho; echo {DONE} $failed\n"
        )
        self._shell.stdin.flush()
        said: list[str] = []
        for line in self._shell.stdout:
            if line.startswith(DONE):
                assert line == f"{DONE} 0\n", f"{commands}\n{''.join(said)}"
                break
            said.append(line)
        for command in re.findall(r"^.* &$", commands, re.MULTILINE):
            self._await(command)
        return "".join(said)

    def _await(self, command: str) -> None:
        page = {"shop.py": 8080, "shop:app": 8080, "prometheus.yml": 9090, "collector.yaml": 13133}
        (port,) = (self.ports[port] for name, port in page.items() if name in command)

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(listens, within=LISTEN_WITHIN)


def promql(step: int) -> list[str]:
    """The queries that a step promises an answer to."""
    return [
        line
        for block in blocks()
        if block.step == step and block.language == "promql"
        for line in block.text.splitlines()
    ]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("page") / "shop"
    folder.mkdir()
    (folder.parent / "randsvc").symlink_to(ROOT)
    reader = Reader(folder)
    yield reader
    reader.leave()


@pytest.fixture(scope="module")
def measured(reader: Reader) -> str:
    """What /metrics said at the end of step 2."""
    return reader.follow(2)


@pytest.fixture(scope="module")
def scraped(reader: Reader, measured: str) -> Reader:
    """Up to step 4, all is well."""
    reader.follow(3)
    reader.follow(4)
    return reader


@pytest.fixture(scope="module")
def broken(scraped: Reader) -> Reader:
    """Up to step 6."""
    scraped.follow(6)
    return scraped


@pytest.fixture(scope="module")
def pushing(broken: Reader) -> Reader:
    """Up to the end."""
    broken.follow(7)
    return broken


def test_every_block_is_a_file_or_a_command_or_promises_an_answer() -> None:
    for block in blocks():
        named = NAMED.match(block.text)
        assert named or block.language in ("bash", "promql"), block
    assert {block.step for block in blocks()} == {1, 2, 3, 4, 6, 7}
    assert promql(4)
    assert promql(6)
    assert promql(7)


def test_what_is_installed_is_all_that_the_app_imports(tmp_path: Path) -> None:
    """Into an environment of its own; what randsvc depends on comes from ours."""
    (tmp_path / "randsvc").symlink_to(ROOT)
    environment = tmp_path / "shop/.venv"
    venv.create(environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "ours.pth").write_text(f"{Path(yaml.__file__).parents[1]}\n")
    (install,) = (block.text for block in blocks() if block.step == 1)
    program, *arguments = install.split()
    assert program == "pip"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", environment / "bin/python", *arguments],
        cwd=tmp_path / "shop",
        capture_output=True,
        text=True,
    )
    if done.returncode and "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("the installation is not tested: no package index is reached")
    assert done.returncode == 0, done.stderr
    (shop,) = (block.text for block in blocks() if "# shop.py" in block.text)
    (tmp_path / "shop/shop.py").write_text(shop)
    said = subprocess.run(
        [environment / "bin/python", "-c", "import shop, randsvc; print(randsvc.__file__)"],
        cwd=tmp_path / "shop",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert Path(said.strip()).is_relative_to(environment)


def test_metrics_are_those_of_the_shop_and_none_of_randsvc(measured: str) -> None:
    assert 'service_name="shop",service_version="1.0"' in measured
    ok = 'http_route="/orders/{number}",http_response_status_code="200"'
    assert re.search(rf"http_server_request_duration_seconds_count{{.*{ok}}} 50\n", measured)
    assert "\n# TYPE asyncio_event_loop_lag_seconds histogram\n" in measured
    assert '\nshop_orders_total{kind="gift"} 5\n' in measured
    assert "\nshop_order_amount_count{} 50\n" in measured
    assert "randsvc" not in measured


@pytest.mark.parametrize("expr", promql(4))
def test_each_golden_signal_is_an_answer(scraped: Reader, expr: str) -> None:
    assert wait_until(lambda: scraped.query(expr), within=30)


def test_no_alert_fires_while_all_is_well(scraped: Reader) -> None:
    assert scraped.query("ALERTS") == []


@pytest.mark.parametrize("expr", promql(6))
def test_a_broken_statement_is_reported(broken: Reader, expr: str) -> None:
    assert wait_until(lambda: broken.query(expr), within=30)


def test_the_alert_fires_at_all_three_levels_and_no_other_does(broken: Reader) -> None:
    def firing() -> set[tuple[str, str]]:
        found = broken.query('ALERTS{alertstate="firing"}')
        return {(s.labels["alertname"], s.labels["level"]) for s in found}

    expected = {("ShopOrdersFailing", level) for level in ("critical", "major", "minor")}
    assert wait_until(lambda: firing() == expected, within=30)


@pytest.mark.parametrize("panel", PANELS, ids=": ".join)
def test_a_panel_has_data(broken: Reader, panel: tuple[str, str]) -> None:
    # Two minutes, as the requests were a while ago.
    asked = [q for q in list_queries("2m", "shop") if (q.dashboard, q.panel) == panel]
    if all(query.empty for query in asked):
        return
    assert wait_until(lambda: any(broken.query(query.expr) for query in asked), within=10)


def test_in_production_the_windows_are_those_of_the_time_scale(pushing: Reader) -> None:
    (group,) = yaml.safe_load((pushing.folder / "rules/slo.yml").read_text())["groups"]
    windows = {rule["labels"].get("window") for rule in group["rules"]} - {None}
    assert windows == {"2m", "5m", "8m", "30m", "1h", "2h", "6h", "1d", "3d"}
    config = json.loads(pushing.get(9090, "/api/v1/status/config"))["data"]["yaml"]
    assert yaml.safe_load(config)["global"]["scrape_interval"] == "15s"


@pytest.mark.parametrize("expr", promql(7))
def test_each_worker_pushes_its_own_numbers(pushing: Reader, expr: str) -> None:
    assert wait_until(lambda: pushing.query(expr), within=120)


def test_nothing_is_down_while_workers_push(pushing: Reader) -> None:
    # It may be pending from the time before the first scrape.
    assert wait_until(lambda: not pushing.query('ALERTS{alertname="ShopDown"}'), within=60)


def test_there_is_nothing_to_pull_where_workers_push(pushing: Reader) -> None:
    with pytest.raises(HTTPError, match="404"):
        pushing.get(8080, "/metrics")
