"""The programs of the cluster, built natively from Go modules of the project."""

from pathlib import Path

from randsvc.project import ROOT
from randsvc.stack.build import GoModule, download_upstream, find_version

__all__ = ("find_crds", "list_modules")

_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
_METRICS_SERVER = "sigs.k8s.io/metrics-server"
_ETCD = "go.etcd.io/etcd/server/v3"
_KUBERNETES = "k8s.io/kubernetes"
_PROGRAMS = {
    "etcd": (_ETCD, {"etcd": _ETCD}),
    "metrics-server": (
        _METRICS_SERVER,
        {"metrics-server": f"{_METRICS_SERVER}/cmd/metrics-server"},
    ),
    "prometheus-operator": (
        _OPERATOR,
        {name: f"{_OPERATOR}/cmd/{name}" for name in ("operator", "prometheus-config-reloader")},
    ),
    "coredns": ("github.com/coredns/coredns", {"coredns": "."}),
    "kubernetes": (
        _KUBERNETES,
        {
            f"kube{name}": f"{_KUBERNETES}/cmd/kube{name}"
            for name in ("-apiserver", "-controller-manager", "-scheduler", "-proxy", "let")
        },
    ),
}
"""By the folder of its go.mod: the module upstream, and the Go package of each program."""


def list_modules() -> tuple[GoModule, ...]:
    """List the modules that only the cluster needs. Raises ``BuildError``."""
    return tuple(map(_make, _PROGRAMS))


def find_crds() -> Path:
    """Return the folder of the operator's CustomResourceDefinitions, which its Go module has.

    Raises ``BuildError``.
    """
    return download_upstream(_make("prometheus-operator")) / "example/prometheus-operator-crd"


def _make(name: str) -> GoModule:
    folder = ROOT / "deploy/cluster/build" / name
    upstream, packages = _PROGRAMS[name]
    return GoModule(
        folder,
        packages,
        f"v{find_version(folder, upstream)}",
        # Helm compares the server's version with the chart's kubeVersion.
        "k8s.io/component-base/version.gitVersion" if name == "kubernetes" else "",
        upstream=upstream,
        static=True,
    )
