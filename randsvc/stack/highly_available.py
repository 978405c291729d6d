"""Runs the highly available layout natively: replicas of every part, Thanos behind them.

observability/ha/ holds the layout as data: which programs, how many of each, their flags and their
configurations. Here each address NAME:PORT becomes one of this machine.
"""

import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from randsvc.project import ROOT
from randsvc.rules.time_scale import DEMO, TimeScale
from randsvc.stack.addresses import AddressBook, find_unused_ports
from randsvc.stack.build import build_programs, make_thanos_module
from randsvc.stack.programs import (
    Program,
    StackError,
    make_auth,
    make_blackbox_exporter,
    make_collector,
    make_inbox,
    make_randsvc,
    name_links,
    read_alertmanager_config,
    read_flags,
    read_prometheus_config,
)
from randsvc.stack.supervisor import Stack, run_programs

__all__ = (
    "DESCRIPTIONS",
    "LAYOUT",
    "Layout",
    "Reach",
    "find_book",
    "list_addresses",
    "make_replicas",
    "merge_prometheus",
    "read_layout",
    "run_replicas",
    "see_balancer",
    "translate",
)

LAYOUT = ROOT / "observability/ha"
"""The layout as data."""

Reach = Callable[[str], AddressBook]
"""The addresses at which a program finds the others, by the name of the program."""

Layout = Mapping[str, Any]
"""The content of layout.yml."""

SINGLE: Mapping[str, tuple[int, ...]] = {"inbox": (9095,), "dead-mans-switch": (9096,)}
"""The ports of what stands for people and for the outside world."""
SERVICES: Mapping[str, tuple[int, ...]] = {"randsvc": (8080, 9464), "auth": (8081, 9465)}
COLLECTOR = (4317, 4318, 8888, 8889, 13133)
BLACKBOX = (9115,)
HEARTBEAT_TIMEOUT = {"demo": 150, "production": 660}
"""Seconds until the dead man's switch notifies: two repetitions of the Watchdog, and a margin."""
STEP = 20
"""The ports of a replica are this much above those of the one before, those of the first above what
the configurations say: so that the balancer has the well-known ports."""

DESCRIPTIONS = {
    "balancer:8080": "Service: /random",
    "balancer:8081": "Authorization: /login",
    "randsvc-0:9464": "Service, first replica: console",
    "balancer:10904": "Thanos Query: the HTTP API of Prometheus over both Prometheus",
    "prometheus-0:9090": "Prometheus, first replica: HTTP API (no web page)",
    "alertmanager-0:9093": "Alertmanager, first peer: HTTP API (no web page)",
    "balancer:8404": "Balancer: its own /metrics",
    "dead-mans-switch:9096": "Dead man's switch: /metrics",
    "inbox:9095": "Inbox: the notifications that people received",
}
"""What to open, by address."""


def list_addresses(layout: Layout | None = None) -> list[str]:
    """List every address of the layout, as its configurations name it: NAME:PORT."""
    layout = layout or read_layout()
    found = [f"{name}:{port}" for name, ports in SINGLE.items() for port in ports]
    for name, number in layout["services"].items():
        found += [f"{name}-{i}:{port}" for i in range(number) for port in SERVICES[name]]
    found += [
        f"otel-collector-{i}:{port}" for i in range(layout["collectors"]) for port in COLLECTOR
    ]
    for name, of_program in layout["programs"].items():
        for each in _name_replicas(name, of_program):
            found += [f"{each}:{port}" for port in of_program["listens"]]
    probes = layout["programs"]["prometheus"]["replicas"]
    return found + [f"blackbox-exporter-{i}:{port}" for i in range(probes) for port in BLACKBOX]


@contextmanager
def run_replicas(
    *,
    users: Sequence[Callable[[AddressBook], Program]] = (),
    free_ports: bool = False,
    scale: TimeScale = DEMO,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Stack]:
    """Run the layout in a ``with`` block, which begins when every program is ready.

    ``users`` make programs that use the services at the balancer. ``env`` has settings of the
    services. The other parameters, and what is raised, are those of ``run_stack``.
    """
    with ExitStack() as cleanup:
        folder = folder or Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        book = find_book(free_ports=free_ports)
        programs = make_replicas(book, folder, scale=scale, env=env)
        programs += [user(see_balancer(book)) for user in users]
        yield cleanup.enter_context(run_programs(programs, book, folder))


def find_book(layout: Layout | None = None, *, free_ports: bool) -> AddressBook:
    """Give each program ports of this machine: those of the layout, or such as nobody uses."""
    addresses = list_addresses(layout)
    if free_ports:
        ports = find_unused_ports(len(addresses))
        return {at: f"127.0.0.1:{port}" for at, port in zip(addresses, ports, strict=True)}
    return {at: f"127.0.0.1:{_number(at)}" for at in addresses}


def make_replicas(
    book: AddressBook,
    folder: Path,
    *,
    reach: Reach | None = None,
    scale: TimeScale = DEMO,
    env: Mapping[str, str] | None = None,
    layout: Layout | None = None,
    without: Sequence[str] = (),
) -> list[Program]:
    """Make every program of the layout, in the order in which they start.

    ``reach`` says where a program finds the others, where that is not their own address. ``layout``
    replaces that of layout.yml. ``without`` names the programs of layout.yml, and the scrape jobs,
    to leave out. Raises ``StackError`` and ``BuildError``.
    """
    reach = reach or (lambda _name: book)
    built = [build_programs()]
    if not {"receive", "store", "compact", "query", "sidecar"} <= set(without):
        built.append(build_programs([make_thanos_module()]))
    layout = layout or read_layout()

    def make(name: str) -> list[Program]:
        if name in without:
            return []
        of_program = layout["programs"][name]
        made = []
        for replica, each in enumerate(_name_replicas(name, of_program)):
            config = _write_configs(folder, each, replica, reach(each), scale, without)
            data = folder / each
            data.mkdir(parents=True, exist_ok=True)
            texts = list(of_program["command"])
            if name == "prometheus":
                texts += read_flags("prometheus")
            program, *options = (
                _place(text, replica, data, config, reach(each), book, each) for text in texts
            )
            port, path = of_program["ready"]
            made.append(
                Program(
                    name=each,
                    command=[_find_program(program, built), *options],
                    listens=[f"{each}:{port}" for port in of_program["listens"]],
                    ready=(f"{each}:{port}", path),
                    env=name_links(book),
                )
            )
        return made

    services = [
        _make_service(name, replica, reach, folder, env)
        for name, number in layout["services"].items()
        for replica in range(number)
    ]
    probes = [
        _rename(make_blackbox_exporter, "blackbox-exporter", replica, reach, BLACKBOX)
        for replica in range(layout["programs"]["prometheus"]["replicas"])
    ]
    collectors = [
        _make_collector(built[0], replica, reach, folder) for replica in range(layout["collectors"])
    ]
    return [
        make_inbox(book),
        _make_switch(book, scale),
        *make("receive"),
        *make("store"),
        *make("compact"),
        *make("alertmanager"),
        *collectors,
        *([] if "blackbox" in without else probes),
        *make("balancer"),
        *services,
        # Prometheus starts last but for its sidecar and Query, so that it finds every target.
        *make("prometheus"),
        *make("sidecar"),
        *make("query"),
    ]


def read_layout() -> dict[str, Any]:
    """Read layout.yml."""
    layout: dict[str, Any] = yaml.safe_load((LAYOUT / "layout.yml").read_text())
    return layout


def _name_replicas(name: str, of_program: Mapping[str, Any]) -> list[str]:
    number = of_program.get("replicas")
    return [name] if number is None else [f"{name}-{replica}" for replica in range(number)]


def _number(address: str) -> int:
    """Return the port on one machine, where replicas must differ."""
    name, _, port = address.rpartition(":")
    replica = re.search(r"-(\d+)$", name)
    return int(port) + (STEP * (1 + int(replica[1])) if replica else 0)


def _find_program(name: str, built: Sequence[Path]) -> str:
    for folder in built:
        if (folder / name).exists():
            return str(folder / name)
    # Daemons are where not every user has them in PATH.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise StackError(f"no program {name} in PATH: install the Debian package of that name")
    return found


def _write_configs(
    folder: Path,
    name: str,
    replica: int,
    book: AddressBook,
    scale: TimeScale,
    without: Sequence[str],
) -> Path:
    """Write the files of the layout for one program, and return their folder."""
    target = folder / "config" / name
    target.mkdir(parents=True, exist_ok=True)
    (folder / "objects").mkdir(exist_ok=True)
    texts = {path.name: path.read_text() for path in LAYOUT.iterdir() if path.is_file()}
    overlay = yaml.safe_load(texts.pop("prometheus.yml"))
    texts.pop("layout.yml")
    merged = merge_prometheus(read_prometheus_config(scale), overlay)
    jobs = [job for job in merged["scrape_configs"] if job["job_name"] not in without]
    merged["scrape_configs"] = jobs
    texts[f"prometheus-{replica}.yml"] = yaml.safe_dump(merged, sort_keys=False)
    alertmanager = read_alertmanager_config()
    (watchdog,) = (one for one in alertmanager["receivers"] if one["name"] == "watchdog")
    watchdog["webhook_configs"][0]["url"] = "http://dead-mans-switch:9096/"
    texts["alertmanager.yml"] = yaml.safe_dump(alertmanager, sort_keys=False)
    for file, text in texts.items():
        filled = text.replace("{replica}", str(replica)).replace("{folder}", str(folder))
        (target / file).write_text(translate(filled, book))
    return target


def merge_prometheus(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Add the keys of observability/ha/prometheus.yml to the configuration of one Prometheus."""
    jobs = {job["job_name"]: job for job in base["scrape_configs"]}
    for job in overlay["scrape_configs"]:
        name = job["job_name"]
        jobs[name] = {**jobs.get(name, {}), **job}
    labels = {**base["global"]["external_labels"], **overlay["global"]["external_labels"]}
    return {
        **base,
        **overlay,
        "global": {**base["global"], "external_labels": labels},
        "scrape_configs": list(jobs.values()),
    }


def translate(text: str, book: AddressBook) -> str:
    """Replace each address of the layout by that of this machine."""
    # The longest first: an address can end like another.
    names = sorted(book, key=len, reverse=True)
    pattern = rf"(?<![\w-])({'|'.join(map(re.escape, names))})(?!\d)"
    return re.sub(pattern, lambda found: book[found[0]], text)


def _place(
    text: str,
    replica: int,
    data: Path,
    config: Path,
    reached: AddressBook,
    book: AddressBook,
    name: str,
) -> str:
    filled = text.format(replica=replica, data=data, config=config)
    # The name that a receiver has in hashring.json, whatever is between the others and it.
    own = book if filled.startswith("--receive.local-endpoint=") else reached
    return translate(filled, {**own, **{at: book[at] for at in book if at.startswith(f"{name}:")}})


def _rename(
    make: Callable[..., Program],
    name: str,
    replica: int,
    reach: Reach,
    ports: Sequence[int],
    **options: Any,
) -> Program:
    """Make a replica of a program of the stack of one machine."""
    each = f"{name}-{replica}"
    book = dict(reach(each))
    for port in ports:
        book[f"{name}:{port}"] = book[f"{each}:{port}"]
    made = make(book, **options)
    number = {f"{name}:{port}": f"{each}:{port}" for port in ports}
    ready = (number[made.ready[0]], made.ready[1]) if made.ready else None
    return replace(made, name=each, listens=[number[at] for at in made.listens], ready=ready)


def _make_service(
    name: str, replica: int, reach: Reach, folder: Path, env: Mapping[str, str] | None
) -> Program:
    def make(book: AddressBook, **options: Any) -> Program:
        tier = {
            "otel-collector:4318": book["balancer:4318"],
            "prometheus:9090": book["balancer:10904"],
            "alertmanager:9093": book["alertmanager-0:9093"],
            # For the links on the console.
            **{at: book[f"{at.split(':')[0]}-{replica}:{at.split(':')[1]}"] for at in _CONSOLES},
        }
        maker = {"randsvc": make_randsvc, "auth": make_auth}[name]
        return maker({**book, **tier}, **options)

    given = {
        # The balancer sends all exports of an instance to one Collector by this header.
        "OTEL_EXPORTER_OTLP_HEADERS": f"X-Instance={name}-{replica}",
        **(env or {}),
    }
    if name == "randsvc":
        given["RANDSVC_FEEDBACK_SECRET"] = _SECRET
        # Replicas of one machine can share it: feedback is counted once, wherever it arrives.
        given["RANDSVC_FEEDBACK_STORE"] = str(folder / "feedback.sqlite")
    return _rename(make, name, replica, reach, SERVICES[name], env=given)


_CONSOLES = ("randsvc:9464", "auth:9465")

# Each replica accepts feedback for the responses of the others; new at each start.
_SECRET = secrets.token_urlsafe(32)


def _make_collector(programs: Path, replica: int, reach: Reach, folder: Path) -> Program:
    def make(book: AddressBook) -> Program:
        return make_collector(programs, book, folder / f"otel-collector-{replica}", logs=False)

    made = _rename(make, "otel-collector", replica, reach, COLLECTOR)
    return replace(made, env={**made.env, "COLLECTOR_SEND_TIMESTAMPS": "true"})


def _make_switch(book: AddressBook, scale: TimeScale) -> Program:
    host, port = book["dead-mans-switch:9096"].split(":")
    return Program(
        name="dead-mans-switch",
        command=[
            *(sys.executable, "-m", "randsvc.stack.dead_mans_switch"),
            *(f"--host={host}", f"--port={port}"),
            f"--pager=http://{book['inbox:9095']}/pager",
            f"--timeout={HEARTBEAT_TIMEOUT[scale.name]}",
        ],
        listens=["dead-mans-switch:9096"],
        ready=("dead-mans-switch:9096", "/metrics"),
        env={**name_links(book), "PYTHONPATH": str(ROOT)},
    )


def see_balancer(book: AddressBook) -> AddressBook:
    """Return the addresses as users know them."""
    return {**book, "randsvc:8080": book["balancer:8080"], "auth:8081": book["balancer:8081"]}
