"""The programs of the control plane, on the first node."""

from pathlib import Path

from deploy.cluster.network import API, NODES, SERVICES
from randsvc.stack.programs import Program

__all__ = ("make_api_server", "make_controllers", "make_operator")

_ETCD = "http://127.0.0.1:2379"
UNREACHABLE = 20
"""Seconds without a sign of life after which a node counts as unreachable; 50 by default."""


def make_api_server(programs: Path, folder: Path) -> tuple[Program, ...]:
    """Make etcd and the API server; their data is in ``folder``.

    etcd comes first, and so is stopped last: without it, the others wait for minutes to end.
    """
    keys = folder / "keys"
    return (
        _make(
            "etcd",
            f"{programs}/etcd",
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--log-level=warn",
            "--unsafe-no-fsync",  # nobody needs the data of a cluster for tests after a power cut
        ),
        _make(
            "kube-apiserver",
            f"{programs}/kube-apiserver",
            f"--etcd-servers={_ETCD}",
            f"--bind-address={API}",
            f"--advertise-address={API}",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={keys}/ca.crt",
            *_tls(keys, "apiserver"),
            f"--kubelet-certificate-authority={keys}/ca.crt",
            f"--kubelet-client-certificate={keys}/apiserver-kubelet.crt",
            f"--kubelet-client-key={keys}/apiserver-kubelet.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={keys}/accounts.pub",
            f"--service-account-signing-key-file={keys}/accounts.key",
            # The API of metrics-server is reached through this one, pod by pod.
            "--enable-aggregator-routing=true",
            f"--proxy-client-cert-file={keys}/front-proxy-client.crt",
            f"--proxy-client-key-file={keys}/front-proxy-client.key",
            f"--requestheader-client-ca-file={keys}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        ),
    )


def make_controllers(programs: Path, folder: Path) -> tuple[Program, ...]:
    """Make the controllers and the scheduler, which end where the API server is not ready."""
    keys = folder / "keys"
    return (
        _make(
            "kube-controller-manager",
            f"{programs}/kube-controller-manager",
            *_as_user(keys, "controller-manager"),
            "--use-service-account-credentials",
            f"--service-account-private-key-file={keys}/accounts.key",
            f"--root-ca-file={keys}/ca.crt",
            f"--cluster-signing-cert-file={keys}/ca.crt",
            f"--cluster-signing-key-file={keys}/ca.key",
            f"--service-cluster-ip-range={SERVICES}",
            f"--node-monitor-grace-period={UNREACHABLE}s",
            "--horizontal-pod-autoscaler-sync-period=5s",  # 15 s by default
            "--leader-elect=false",
        ),
        _make(
            "kube-scheduler",
            f"{programs}/kube-scheduler",
            *_as_user(keys, "scheduler"),
            "--leader-elect=false",
        ),
    )


def make_operator(programs: Path, folder: Path, reloader: str) -> Program:
    """Make the Prometheus Operator, next to the control plane; ``reloader`` is an image."""
    keys = folder / "keys"
    return _make(
        "prometheus-operator",
        f"{programs}/operator",
        f"--apiserver=https://{API}:6443",
        f"--ca-file={keys}/ca.crt",
        f"--cert-file={keys}/admin.crt",
        f"--key-file={keys}/admin.key",
        f"--prometheus-config-reloader={reloader}",
        "--web.listen-address=127.0.0.1:8080",
    )


def _make(name: str, *command: str) -> Program:
    return Program(name=name, command=NODES[0].inside(*command), listens=(), ready=None)


def _tls(keys: Path, name: str) -> tuple[str, str]:
    return (f"--tls-cert-file={keys}/{name}.crt", f"--tls-private-key-file={keys}/{name}.key")


def _as_user(keys: Path, user: str) -> tuple[str, ...]:
    file = f"{keys}/{user}.kubeconfig"
    return tuple(f"--{flag}kubeconfig={file}" for flag in ("", "authentication-", "authorization-"))
