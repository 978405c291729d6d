"""The chain that is broken: the programs of the native stack, with a proxy on each connection."""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.chaos.disk import can_mount, mount_disk
from randsvc.project import ROOT
from randsvc.rules.time_scale import DEMO
from randsvc.stack.addresses import AddressBook, find_free_addresses, find_unused_ports
from randsvc.stack.build import GoModule, build_programs, find_version
from randsvc.stack.programs import (
    Program,
    make_alertmanager,
    make_auth,
    make_collector,
    make_inbox,
    make_prometheus,
    make_randsvc,
)
from randsvc.stack.supervisor import Stack, run_programs

__all__ = (
    "LINKS",
    "PROGRAMS",
    "TOXIPROXY",
    "Chain",
    "can_fake_clock",
    "make_toxiproxy",
    "run_chain",
    "with_clock",
)

PROGRAMS = ("inbox", "alertmanager", "otel-collector", "auth", "randsvc", "prometheus")
"""In the order in which they start."""

LINKS: Mapping[str, str] = {
    "users to randsvc": "randsvc:8080",
    "users to auth": "auth:8081",
    "randsvc to otel-collector": "otel-collector:4318",
    "auth to otel-collector": "otel-collector:4318",
    "prometheus to otel-collector": "otel-collector:8889",
    "prometheus to randsvc": "randsvc:9464",
    "prometheus to auth": "auth:9465",
    "prometheus to alertmanager": "alertmanager:9093",
    "alertmanager to inbox": "inbox:9095",
}
"""The address of the server of each connection, in the compose network."""

EXPORT_INTERVAL = 2.0
"""Seconds between two exports of a service, and between two scrapes: those of `make stack`."""
EXPIRATION = 30.0
"""Seconds after which the Collector forgets a dead instance: longer than any outage here, and much
shorter than the default, so that a trial can see that the series go."""
QUEUE = 2
"""Batches that the Collector's queue for traces holds here, so that a flood fills it."""

TOXIPROXY = GoModule(
    folder := ROOT / "benchmarks/chaos/build",
    {"toxiproxy": "github.com/Shopify/toxiproxy/v2/cmd/server"},
    find_version(folder, "github.com/Shopify/toxiproxy/v2"),
    "github.com/Shopify/toxiproxy/v2.Version",
)


@dataclass(frozen=True)
class Chain:
    """A running chain, and what breaks the parts that are no programs."""

    stack: Stack
    links: Mapping[str, str]
    """The address at which a proxy takes the requests of each connection."""
    users: Mapping[str, str]
    """The URL at which users reach each service."""
    folder: Path
    """Everything that the programs write is on the disk of this folder."""
    jump: float = 5 * 3600.0
    """Seconds by which a clock that jumps is ahead."""

    def read_metric(self, address: str, name: str) -> float:
        """Return the sum of the series of a metric on the page of a program."""
        page = self.stack.get(address, "/metrics").decode()
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)
        return sum(map(float, found))

    @contextmanager
    def disturb(
        self, link: str, toxic: str, attributes: Mapping[str, int], streams: Sequence[str]
    ) -> Iterator[None]:
        """Let a proxy disturb a connection by a toxic of toxiproxy, inside the ``with`` block.

        ``streams`` are its directions: upstream, downstream or both.
        https://github.com/Shopify/toxiproxy#toxics
        """
        toxics = f"/proxies/{_slug(link)}/toxics"
        for stream in streams:
            body = {"name": stream, "type": toxic, "stream": stream, "attributes": attributes}
            self._control("POST", toxics, body)
        try:
            yield
        finally:
            for stream in streams:
                self._control("DELETE", f"{toxics}/{stream}")

    def set_enabled(self, link: str, enabled: bool) -> None:
        """Let a proxy accept connections, or close all of them and refuse new ones."""
        self._control("POST", f"/proxies/{_slug(link)}", {"enabled": enabled})

    def shift_clock(self, program: str, seconds: float) -> None:
        """Shift the clock of a Python program by so much against the clock of the machine."""
        # A file that is replaced is never read half written.
        new = self.folder / f"{program}.clock.new"
        new.write_text(f"{seconds:+.0f}s\n")
        new.replace(_clock(self.folder, program))

    def _control(self, method: str, path: str, body: object = None) -> None:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.stack.url("toxiproxy:8474", path), data, method=method)  # noqa: S310
        with urlopen(request, timeout=10):  # noqa: S310
            pass


@contextmanager
def run_chain() -> Iterator[Chain]:
    """Run the chain in a ``with`` block: two workers, a login, and the time scale ``demo``.

    The programs write to a small disk of their own where this process may mount one, otherwise to
    a temporary folder.
    """
    with ExitStack() as cleanup:
        folder = (
            cleanup.enter_context(mount_disk())
            if can_mount()
            else Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        )
        programs = build_programs()
        proxies = build_programs([TOXIPROXY])
        book = find_free_addresses()
        ports = find_unused_ports(1 + len(LINKS))
        book = {**book, "toxiproxy:8474": f"127.0.0.1:{ports.pop()}"}
        links = {link: f"127.0.0.1:{port}" for link, port in zip(LINKS, ports, strict=True)}

        def reach(client: str) -> AddressBook:
            """Return the addresses at which a client finds the others: those of its proxies."""
            return {
                **book,
                **{LINKS[link]: at for link, at in links.items() if link.startswith(f"{client} ")},
            }

        chain = (
            make_toxiproxy(proxies, book, links, LINKS, folder),
            with_clock(make_inbox(book), folder),
            make_alertmanager(programs, reach("alertmanager"), folder),
            _with_queue(make_collector(programs, book, folder, logs=False)),
            with_clock(make_auth(reach("auth")), folder),
            with_clock(
                make_randsvc(
                    reach("randsvc"),
                    env={
                        "RANDSVC_WORKERS": "2",
                        "RANDSVC_FEEDBACK_STORE": str(folder / "feedback.sqlite"),
                    },
                ),
                folder,
            ),
            make_prometheus(
                programs,
                reach("prometheus"),
                folder,
                interval=None,
                pull=False,
                scale=DEMO,
                without=["blackbox"],
            ),
        )
        stack = cleanup.enter_context(run_programs(chain, book, folder))
        users = {job: f"http://{links[f'users to {job}']}" for job in ("randsvc", "auth")}
        yield Chain(stack, links, users, folder)


@cache
def can_fake_clock() -> bool:
    """Whether libfaketime is installed."""
    return _find_libfaketime() is not None


def make_toxiproxy(
    programs: Path,
    book: AddressBook,
    links: Mapping[str, str],
    servers: Mapping[str, str],
    folder: Path,
) -> Program:
    """Make a proxy for each connection: where it listens, and the address of its server."""
    config = folder / "toxiproxy.json"
    config.write_text(
        json.dumps(
            [
                {"name": _slug(link), "listen": links[link], "upstream": book[address]}
                for link, address in servers.items()
            ]
        )
    )
    host, port = book["toxiproxy:8474"].split(":")
    return Program(
        name="toxiproxy",
        command=[f"{programs}/toxiproxy", f"-host={host}", f"-port={port}", f"-config={config}"],
        listens=["toxiproxy:8474"],
        ready=("toxiproxy:8474", "/version"),
        # By default it logs every read and write, which takes more time than they do.
        env={**os.environ, "LOG_LEVEL": "warn"},
    )


def _slug(link: str) -> str:
    return link.replace(" ", "-")


def _with_queue(collector: Program) -> Program:
    """Give the Collector traces to send, nobody who takes them, and a short queue."""
    overrides = f"yaml:exporters::otlp_grpc/jaeger::sending_queue::queue_size: {QUEUE}"
    return replace(
        collector,
        command=[*collector.command, f"--config={overrides}"],
        env={
            **collector.env,
            "COLLECTOR_TRACES": "otlp_grpc/jaeger",
            "COLLECTOR_JAEGER": "127.0.0.1:9",
            "COLLECTOR_METRIC_EXPIRATION": f"{EXPIRATION:g}s",
        },
    )


def with_clock(program: Program, folder: Path) -> Program:
    """Let a Python program see the clock that ``Chain.shift_clock`` sets, if that is possible."""
    library = _find_libfaketime()
    if library is None:
        return program
    clock = _clock(folder, program.name)
    clock.write_text("+0s\n")
    return replace(
        program,
        env={
            **program.env,
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_CACHE_DURATION": "1",
            # A clock that is set does not change the time since the start of the machine.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )


def _clock(folder: Path, program: str) -> Path:
    return folder / f"{program}.clock"


def _find_libfaketime() -> Path | None:
    return next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
