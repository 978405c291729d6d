"""The machines of the cluster: two network namespaces, joined by a virtual cable.

A third cable joins the first node with this machine, which so reaches services and pods by their
addresses.
"""

import ipaddress
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

__all__ = (
    "API",
    "DNS",
    "NODES",
    "PODS",
    "SERVICES",
    "NetworkError",
    "Node",
    "cut_link",
    "expect_free",
    "remove_network",
    "run",
    "run_network",
)

API = "10.210.0.1"
"""The address of the API server, on the first node."""
SERVICES = "10.211.0.0/16"
DNS = "10.211.0.10"
PODS = "10.212.0.0/16"
_CABLES = "10.210.0.0/23"
_HERE, _THERE = "10.210.1.1", "10.210.1.2"
_SETTINGS = (
    "net.ipv4.ip_forward=1",
    # An attempt to connect to a lost pod stays in the table of connections for so long after its
    # last packet: 2 minutes by default. A client that gets the same port again in this time is sent
    # to the lost pod, too. kube-proxy removes such entries for UDP only.
    "net.netfilter.nf_conntrack_tcp_timeout_syn_sent=10",
)
"""Settings of a node's kernel."""


@dataclass(frozen=True)
class Node:
    """A node; its name in Kubernetes is that of its network namespace."""

    number: int

    @property
    def name(self) -> str:
        """The name in Kubernetes and of the namespace."""
        return f"randsvc-n{self.number}"

    @property
    def address(self) -> str:
        """The address in the network of the nodes."""
        return f"10.210.0.{self.number}"

    @property
    def pods(self) -> str:
        """The network of the node's pods."""
        return f"10.212.{self.number - 1}.0/24"

    def inside(self, *command: str) -> list[str]:
        """Return a command that runs in the node's network.

        Not by `ip netns exec`, which hides /sys/fs/cgroup.
        """
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]


NODES = (Node(1), Node(2))


class NetworkError(Exception):
    """The network of the cluster cannot be made; the message is one line that says why."""


def run(*command: str, given: str | None = None) -> str:
    """Run a command and return what it printed; raises ``NetworkError`` with its last line."""
    done = subprocess.run(command, input=given, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise NetworkError(f"{' '.join(command)}: {said[-1]}")
    return done.stdout


@contextmanager
def run_network() -> Iterator[None]:
    """Make the network in a ``with`` block. Raises ``NetworkError``."""
    expect_free()
    try:
        _make()
        yield
    finally:
        remove_network()


def remove_network() -> None:
    """Remove what there is of the network. The other cables and routes go with the namespaces."""
    # A namespace goes only when its last process has ended, and the kernel does it later.
    for command in (("link", "delete", "randsvc0"), *(("netns", "delete", n.name) for n in NODES)):
        with suppress(NetworkError):
            run("ip", *command)


@contextmanager
def cut_link() -> Iterator[None]:
    """Lose every packet between the nodes in a ``with`` block, as a cut cable does.

    An interface that is taken down would lose its routes, and its programs would notice.
    """
    inside = NODES[1].inside("nft")
    run(
        *inside,
        "--file",
        "-",
        given="""table inet cut {
            chain arriving { type filter hook prerouting priority -300; iifname "eth0" drop; }
            chain leaving { type filter hook postrouting priority 300; oifname "eth0" drop; }
        }""",
    )
    try:
        yield
    finally:
        run(*inside, "delete", "table", "inet", "cut")


def expect_free() -> None:
    """Raise ``NetworkError`` if this machine uses an address that the cluster needs."""
    wanted = [ipaddress.ip_network(text) for text in (_CABLES, SERVICES, PODS)]
    for route in json.loads(run("ip", "-json", "-4", "route", "show")):
        if route["dst"] == "default":
            continue
        taken = ipaddress.ip_network(route["dst"])
        for network in wanted:
            if taken.overlaps(network):
                raise NetworkError(
                    f"the cluster needs the addresses {network}, but this machine has a route to "
                    f"{taken} (device {route['dev']})"
                )


def _make() -> None:
    first, second = NODES
    for node in NODES:
        run("ip", "netns", "add", node.name)
        run("ip", "-n", node.name, "link", "set", "lo", "up")
    _join(first.name, f"{first.address}/24", second.name, f"{second.address}/24", "eth0")
    run("ip", "link", "add", "randsvc0", "type", "veth", "peer", "name", "up0", "netns", first.name)
    run("ip", "address", "add", f"{_HERE}/30", "dev", "randsvc0")
    run("ip", "link", "set", "randsvc0", "up")
    run("ip", "-n", first.name, "address", "add", f"{_THERE}/30", "dev", "up0")
    run("ip", "-n", first.name, "link", "set", "up0", "up")
    for network in (f"{first.address}/24", SERVICES, PODS):
        run("ip", "route", "add", str(ipaddress.ip_network(network, strict=False)), "via", _THERE)
    # The other node's pods. Nothing of the cluster needs a way to the Internet.
    for node, other in ((first, second), (second, first)):
        run("ip", "-n", node.name, "route", "add", other.pods, "via", other.address)
    run("ip", "-n", first.name, "route", "add", "default", "via", _HERE)
    run("ip", "-n", second.name, "route", "add", "default", "via", first.address)
    for node in NODES:
        run(*node.inside("sysctl", "-qw", *_SETTINGS))


def _join(one: str, address: str, other: str, other_address: str, device: str) -> None:
    peer = ("peer", "name", device, "netns", other)
    run("ip", "link", "add", device, "netns", one, "type", "veth", *peer)
    for namespace, own in ((one, address), (other, other_address)):
        run("ip", "-n", namespace, "address", "add", own, "dev", device)
        run("ip", "-n", namespace, "link", "set", device, "up")
