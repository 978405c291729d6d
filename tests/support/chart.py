"""The Helm chart, as Helm renders it, and the schemas that judge an object of Kubernetes."""

import shutil
import subprocess
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
import yaml

from deploy.cluster.clients import fetch_clients
from deploy.cluster.programs import find_crds
from randsvc.project import ROOT
from randsvc.stack.build import BuildError

CHART = ROOT / "deploy/helm/randsvc"
SCHEMAS = "1.37"
"""The Kubernetes whose schemas judge."""


class _Loader(yaml.SafeLoader):
    """Reads YAML as Kubernetes does: `=` is a string, not the value type of YAML 1.1."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _loader, node: str(node.value))


class RefusedError(Exception):
    """Helm refuses the chart with these values; the message is its own."""


def helm(*arguments: str) -> str:
    """Run Helm, and give what it prints without the lines about linked files."""
    try:
        program = fetch_clients() / "helm"
    except BuildError as error:
        pytest.skip(f"Helm does not render the chart: {error}")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines()
        raise RefusedError("\n".join(line for line in lines if "found symbolic link" not in line))
    return done.stdout


def render(*options: str) -> list[dict[str, Any]]:
    """Give the objects of the chart, installed as `randsvc` in the namespace `shop`."""
    return deepcopy(_render(options))


@cache
def _render(options: tuple[str, ...]) -> list[dict[str, Any]]:
    text = helm("template", "randsvc", str(CHART), "--namespace=shop", *options)
    return [item for item in yaml.load_all(text, _Loader) if item]


def find(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Give the one object of a kind and a name."""
    (found,) = (
        item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name
    )
    return found


def check(item: dict[str, Any]) -> None:
    """Raise unless an object is valid, and has no field that Kubernetes does not know."""
    if item["apiVersion"].startswith(("monitoring.coreos.com/", "keda.sh/")):
        _crds()[item["kind"], item["apiVersion"]].validate(item)
    else:
        kubernetes_validate.validate(item, SCHEMAS, strict=True)


@cache
def _crds() -> Mapping[tuple[str, str], jsonschema_rs.Validator]:
    if shutil.which("go") is None:
        pytest.skip("No object of operators is judged: no Go to download their definitions")
    found = {}
    for path in (path for folder in find_crds() for path in folder.glob("*.yaml")):
        spec = yaml.load(path.read_text(), _Loader)["spec"]  # noqa: S506 - a safe loader
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            api = f"{spec['group']}/{version['name']}"
            closed = _close(schema | {"properties": schema["properties"] | {"metadata": {}}})
            found[spec["names"]["kind"], api] = jsonschema_rs.validator_for(closed)
    return found


def _close(schema: Any) -> Any:
    """Refuse unknown fields, which an API server drops without a word."""
    if isinstance(schema, list):
        return [_close(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _close(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
