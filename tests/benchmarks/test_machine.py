"""The machine of the results."""

from benchmarks.machine import describe_machine


def test_the_machine_is_described() -> None:
    assert "cores" in describe_machine()
