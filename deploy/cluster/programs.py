"""The programs of the cluster, built natively from Go modules of the project.

``python -m deploy.cluster.programs`` builds those of the API server, which `make test` runs.
"""

import sys
from dataclasses import replace
from pathlib import Path

from randsvc.project import ROOT
from randsvc.stack.build import (
    GoModule,
    download_upstream,
    find_version,
    main,
    make_thanos_module,
)

__all__ = ("find_crds", "list_api_server_modules", "list_modules", "make_keda_module")

_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
_METRICS_SERVER = "sigs.k8s.io/metrics-server"
_KUBE_ROUTER = "github.com/cloudnativelabs/kube-router/v2"
_KEDA = "github.com/kedacore/keda/v2"
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
    "keda": (_KEDA, {name: f"{_KEDA}/cmd/{name}" for name in ("operator", "adapter", "webhooks")}),
    "kube-router": (_KUBE_ROUTER, {"kube-router": f"{_KUBE_ROUTER}/cmd/kube-router"}),
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
    """List the modules of `make cluster` that the stack of one machine does not need.

    Raises ``BuildError``.
    """
    return (*(_make(name) for name in _PROGRAMS if name != "keda"), make_thanos_module())


def make_keda_module() -> GoModule:
    """Make the module of KEDA, which takes as long as all others: no more than one trial needs it.

    Raises ``BuildError``.
    """
    return _make("keda")


def list_api_server_modules() -> tuple[GoModule, ...]:
    """List the modules of an API server without a cluster. Raises ``BuildError``."""
    kubernetes = _make("kubernetes")
    name = "kube-apiserver"
    return (_make("etcd"), replace(kubernetes, packages={name: kubernetes.packages[name]}))


def find_crds() -> tuple[Path, ...]:
    """Return folders with the CustomResourceDefinitions of the operator and of KEDA.

    Their Go modules have them. Raises ``BuildError``.
    """
    return (
        download_upstream(_make("prometheus-operator")) / "example/prometheus-operator-crd",
        download_upstream(make_keda_module()) / "config/crd/bases",
    )


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


if __name__ == "__main__":
    sys.exit(main(list_api_server_modules))
