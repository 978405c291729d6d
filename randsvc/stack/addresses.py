"""Where the programs of the stack listen: in the compose network, and on this machine."""

import random
import socket
from collections.abc import Mapping
from itertools import islice

__all__ = (
    "ADDRESSES",
    "WELL_KNOWN_ADDRESSES",
    "AddressBook",
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


def find_unused_ports(number: int) -> list[int]:
    """Find ports at which nothing listens, below the kernel's range of ephemeral ports.

    Otherwise a client of any program could get the port as its own before it is used.
    """
    ports = random.sample(range(10_000, 32_768), k=number + 1000)
    return list(islice((port for port in ports if not _is_used(port)), number))


def _is_used(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
