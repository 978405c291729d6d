"""The API server of Kubernetes accepts what the chart renders.

It has the definitions of the Prometheus Operator and of KEDA.
"""

import json
import os
import shutil
from collections.abc import Iterator

import pytest

from deploy.cluster.cluster import Cluster, ClusterError, run_api_server
from deploy.cluster.programs import list_api_server_modules
from randsvc.stack.build import build_programs
from tests.deploy.test_chart import VALUES
from tests.support.chart import render

# The first build of an API server takes longer than that of any other program.
pytestmark = [pytest.mark.native, pytest.mark.timeout(1800)]

NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {
        "name": "shop",
        # A Deployment whose pods violate the standard is accepted with a warning.
        "labels": {"pod-security.kubernetes.io/warn": "restricted"},
    },
}


@pytest.fixture(scope="module")
def api_server() -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.skip("no API server judges the chart: it needs root, for a network of its own")
    if shutil.which("go") is None:
        pytest.skip("no API server judges the chart: no Go to build it")
    with run_api_server(build_programs(list_api_server_modules())) as cluster:
        cluster.kubectl("apply", "--filename=-", given=json.dumps(NAMESPACE))
        yield cluster


def submit(api_server: Cluster, objects: list[dict[str, object]]) -> list[str]:
    """Let the server judge objects as if it created them, and give a line for each."""
    options = ("--namespace=shop", "--dry-run=server", "--warnings-as-errors", "--filename=-")
    # YAML 1.1, which Python writes, and YAML 1.2 differ about strings such as 08.
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    return api_server.kubectl("create", *options, given=text).splitlines()


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_every_object_of_the_chart_is_accepted(
    api_server: Cluster, values: tuple[str, ...]
) -> None:
    objects = render(*values)
    said = submit(api_server, objects)
    assert len(said) == len(objects)
    assert all(line.endswith("created (server dry run)") for line in said)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("replicas", "two", "invalid type"),
        ("replica", 2, "unknown field"),
        ("replicas", -1, "must be greater than or equal to 0"),
    ],
)
def test_a_wrong_field_is_refused(
    api_server: Cluster, field: str, value: object, said: str
) -> None:
    (deployment, *_) = (item for item in render() if item["kind"] == "Deployment")
    deployment["spec"][field] = value
    with pytest.raises(ClusterError, match=said):
        submit(api_server, [deployment])


def test_a_pod_with_privileges_is_refused(api_server: Cluster) -> None:
    (deployment, *_) = (item for item in render() if item["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["hostNetwork"] = True
    with pytest.raises(ClusterError, match=r"would violate PodSecurity"):
        submit(api_server, [deployment])
