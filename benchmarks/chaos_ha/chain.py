"""The highly available layout that is broken, with a proxy on its connections."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.chaos.chain import TOXIPROXY, Chain, make_toxiproxy, with_clock
from benchmarks.chaos.faults import Kind
from randsvc.stack.addresses import AddressBook, find_unused_ports
from randsvc.stack.build import build_programs
from randsvc.stack.highly_available import Layout, find_book, make_replicas, read_layout
from randsvc.stack.supervisor import run_programs

__all__ = ("KINDS", "LINKS", "LONG", "PROGRAMS", "SHORT", "run_chain")

PROGRAMS = (
    "balancer",
    *("randsvc-0", "randsvc-1", "auth-0", "auth-1"),
    *("otel-collector-0", "otel-collector-1"),
    *("prometheus-0", "prometheus-1"),
    *("alertmanager-0", "alertmanager-1", "alertmanager-2"),
    *("receive-0", "receive-1", "receive-2"),
    *("query-0", "query-1", "sidecar-0", "sidecar-1", "store", "compact"),
)
"""Every part but those that stand for people and for the outside world."""

LINKS: Mapping[str, str] = {
    **{f"balancer to randsvc-{i}": f"randsvc-{i}:8080" for i in range(2)},
    **{f"balancer to auth-{i}": f"auth-{i}:8081" for i in range(2)},
    **{f"balancer to otel-collector-{i}": f"otel-collector-{i}:4318" for i in range(2)},
    **{f"balancer to receive-{i}": f"receive-{i}:19291" for i in range(3)},
    **{f"prometheus-{i} to balancer": "balancer:19291" for i in range(2)},
    **{
        f"prometheus-{i} to otel-collector-{j}": f"otel-collector-{j}:8889"
        for i in range(2)
        for j in range(2)
    },
    **{
        f"prometheus-{i} to alertmanager-{j}": f"alertmanager-{j}:9093"
        for i in range(2)
        for j in range(3)
    },
    **{f"alertmanager-{j} to inbox": "inbox:9095" for j in range(3)},
    **{f"query-{i} to receive-{j}": f"receive-{j}:10901" for i in range(2) for j in range(3)},
}
"""The address of the server of each connection that has a proxy."""

SHORT, LONG = (2.0, 6.0), (22.0, 26.0)
"""Seconds of a fault: too short for an alert on what is down, and long enough for one."""

KINDS = (
    Kind("kill", PROGRAMS),
    Kind("freeze", PROGRAMS),
    Kind("restart", PROGRAMS),
    Kind("cut", tuple(LINKS)),
    Kind("slow", tuple(LINKS)),
    Kind("clock ahead", ("randsvc-0", "randsvc-1", "auth-0"), needs="libfaketime"),
)
"""See benchmarks/chaos/faults.py. A clock is a minute ahead."""
MINUTE = 60.0


@contextmanager
def run_chain(layout: Layout | None = None, held_back: tuple[str, ...] = ()) -> Iterator[Chain]:
    """Run the layout in a ``with`` block; the programs ``held_back`` wait for ``Stack.start``.

    Nothing is probed from outside: a probe is a request that is in nobody's books.
    """
    layout = layout or read_layout()
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="chaos-ha-")))
        proxies = build_programs([TOXIPROXY])
        book = dict(find_book(layout, free_ports=True))
        ports = find_unused_ports(1 + len(LINKS))
        book["toxiproxy:8474"] = f"127.0.0.1:{ports.pop()}"
        links = {link: f"127.0.0.1:{port}" for link, port in zip(LINKS, ports, strict=True)}

        def reach(client: str) -> AddressBook:
            """Return the addresses at which a client finds the others: those of its proxies."""
            return {
                **book,
                **{LINKS[link]: at for link, at in links.items() if link.startswith(f"{client} ")},
            }

        programs = make_replicas(book, folder, reach=reach, layout=layout, without=["blackbox"])
        programs = [
            with_clock(program, folder)
            if program.name.startswith(("randsvc-", "auth-"))
            else program
            for program in programs
        ]
        first = [make_toxiproxy(proxies, book, links, LINKS, folder)]
        later = {program.name: program for program in programs if program.name in held_back}
        first += [program for program in programs if program.name not in later]
        stack = cleanup.enter_context(run_programs(first, book, folder))
        stack.programs.update(later)
        users = {"randsvc": stack.url("balancer:8080"), "auth": stack.url("balancer:8081")}
        yield Chain(stack, links, users, folder, jump=MINUTE)


def change_layout(
    *, replicas: Mapping[str, int] = {}, flags: Mapping[str, list[str]] = {}
) -> dict[str, Any]:
    """Return the layout with other numbers of replicas, and with further flags, by program.

    A flag replaces that of its name, except the endpoints, of which there are many.
    """
    layout = read_layout()
    for name, number in replicas.items():
        layout["programs"][name]["replicas"] = number
    for name, more in flags.items():
        names = {flag.partition("=")[0] for flag in more} - {"--endpoint"}
        kept = layout["programs"][name]["command"]
        layout["programs"][name]["command"] = [
            *(flag for flag in kept if flag.partition("=")[0] not in names),
            *more,
        ]
    return layout


def write_hashring(chain: Chain, receivers: int) -> None:
    """Give every receiver a hashring of so many receivers, which it reads by itself."""
    book = chain.stack.book
    ring = {
        "hashring": "default",
        "algorithm": "ketama",
        "endpoints": [
            {
                "address": book[f"receive-{i}:10901"],
                "capnproto_address": book[f"receive-{i}:19391"],
            }
            for i in range(receivers)
        ],
    }
    for path in chain.folder.glob("config/receive-*/hashring.json"):
        new = path.with_suffix(".new")
        new.write_text(json.dumps([ring]))
        new.replace(path)
