"""Where the programs of the stack listen: in the compose network, and on this machine."""

import fcntl
import os
import random
import socket
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from randsvc.errors import ConfigurationError

__all__ = (
    "ADDRESSES",
    "WELL_KNOWN_ADDRESSES",
    "AddressBook",
    "expect_unused",
    "find_free_addresses",
    "find_unused_ports",
)

# By the address in docker-compose.yml. The ports are the well-known ones.
ADDRESSES = {
    "randsvc:8080": "Service: /random",
    "randsvc:9464": "Service, management port: console /metrics /livez /readyz /faults",
    "auth:8081": "Authorization: /login",
    "auth:9465": "Authorization, management port: console /metrics /livez /readyz /faults",
    "otel-collector:4318": "Collector: OTLP over HTTP",
    "otel-collector:4317": "Collector: OTLP over gRPC",
    "otel-collector:8889": "Collector: /metrics pushed by the services",
    "otel-collector:8888": "Collector: its own /metrics",
    "otel-collector:13133": "Collector: health",
    "prometheus:9090": "Prometheus",
    "alertmanager:9093": "Alertmanager: HTTP API (no web page)",
    "blackbox-exporter:9115": "Blackbox exporter: its latest probes",
    "jaeger:16686": "Jaeger: traces (its API, and a page that shows them)",
    "jaeger:4317": "Jaeger: OTLP over gRPC",
    "victorialogs:9428": "VictoriaLogs: /select/vmui",
    "inbox:9095": "Inbox: the notifications that people received",
}
AddressBook = Mapping[str, str]
"""The address on this machine of each address in the compose network."""

WELL_KNOWN_ADDRESSES: AddressBook = {
    address: f"127.0.0.1:{address.split(':')[1]}" for address in ADDRESSES
}


def find_free_addresses() -> AddressBook:
    """Give each program ports of this machine at which nothing listens."""
    ports = find_unused_ports(len(ADDRESSES))
    return {address: f"127.0.0.1:{port}" for address, port in zip(ADDRESSES, ports, strict=True)}


def expect_unused(address: str) -> None:
    """Raise ``OSError`` where a program cannot listen at an address of this machine."""
    host, port = address.split(":")
    with socket.socket() as probe:
        # As servers do: a closing connection of an earlier server does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, int(port)))


def find_unused_ports(number: int) -> list[int]:
    """Find ports at which nothing listens, and that nobody else gets while this process runs.

    They are for programs that start later, or again. So each port is given once by a process, and
    the processes of a user take theirs from different blocks: a block is a locked file, and the
    kernel releases the lock when the process ends. All are below the range of ephemeral ports.
    Otherwise a client of any program could get the port as its own before it is used.

    Raises ``ConfigurationError`` where other processes hold every block.
    """
    found: list[int] = []
    with _taking:
        while len(found) < number:
            if not _spare:
                _spare.extend(_take_block())
            port = _spare.pop()
            if not _is_used(port):
                found.append(port)
    return found


_BLOCK = 64
_STARTS = range(10_000, 32_768 - _BLOCK, _BLOCK)
_taking = threading.Lock()
_spare: list[int] = []
# A child would give the ports of its parent once more.
os.register_at_fork(after_in_child=_spare.clear)


def _take_block() -> range:
    folder = Path(tempfile.gettempdir(), f"randsvc-ports-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    for start in random.sample(_STARTS, k=len(_STARTS)):
        # It stays open, and locked, until the process ends.
        file = os.open(folder / str(start), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            return range(start, start + _BLOCK)
    raise ConfigurationError(
        f"no port is free: other processes hold all {len(_STARTS)} blocks of ports in {folder}; "
        "end some of them"
    )


def _is_used(port: int) -> bool:
    try:
        expect_unused(f"127.0.0.1:{port}")
    except OSError:
        return True
    return False
