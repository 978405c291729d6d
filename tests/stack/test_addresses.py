"""Which ports the programs of a stack get where the well-known ones are taken."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from randsvc.errors import ConfigurationError
from randsvc.stack import addresses
from randsvc.stack.addresses import find_unused_ports


def test_free_ports_are_below_the_ephemeral_ports_of_the_kernel() -> None:
    lowest = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]
    assert max(find_unused_ports(20)) < int(lowest)


def test_a_process_gets_a_port_once() -> None:
    # By chance alone, 11 of twice 500 would be the same.
    assert not {*find_unused_ports(500)} & {*find_unused_ports(500)}


def test_no_other_process_gets_it_not_even_a_child() -> None:
    script = (
        "import os; from randsvc.stack.addresses import find_unused_ports as find; find(1);"
        "child = os.fork(); os.write(1, f'{find(500)}\\n'.encode()); child and os.wait()"
    )
    ours = find_unused_ports(500)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    theirs = [port for line in done.stdout.splitlines() for port in json.loads(line)]
    assert len({*ours, *theirs}) == 1500


def test_a_port_at_which_a_program_listens_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    free, used = find_unused_ports(2)
    monkeypatch.setattr(addresses, "_spare", [free, used])
    with socket.create_server(("127.0.0.1", used)):
        assert find_unused_ports(1) == [free]


def test_one_line_says_that_other_processes_hold_every_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "_spare", [])
    monkeypatch.setattr(addresses, "_STARTS", range(0))
    with pytest.raises(ConfigurationError, match=r"^no port is free: other processes hold all 0 "):
        find_unused_ports(1)
