"""The load of a scenario goes to private addresses only."""

import pytest

from randsvc.incidents.load import refuse_public_address
from randsvc.incidents.scenario import ScenarioError


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.1.2.3", "172.18.0.4"])
def test_load_may_go_to_this_machine_and_to_private_networks(host: str) -> None:
    refuse_public_address(f"http://{host}:8080/random")


@pytest.mark.parametrize("host", ["1.1.1.1", "[2606:4700::1111]"])
def test_load_to_a_public_address_is_refused(host: str) -> None:
    with pytest.raises(ScenarioError, match=r"is a public address; a scenario sends load only to "):
        refuse_public_address(f"http://{host}:8080/random")
