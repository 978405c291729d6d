"""The certificates of the cluster: https://kubernetes.io/docs/setup/best-practices/certificates/.

They live as long as the cluster, and guard addresses that this machine alone reaches.
"""

import json
from ipaddress import ip_network
from pathlib import Path

from deploy.cluster.network import API, NODES, SERVICES, run

__all__ = ("make_certificates",)

_CLIENT = "extendedKeyUsage=clientAuth"
_SERVER = "extendedKeyUsage=serverAuth\nsubjectAltName="
_API_NAMES = (
    *("kubernetes", "kubernetes.default", "kubernetes.default.svc"),
    *("kubernetes.default.svc.cluster.local", "localhost"),
)
_API_SERVICE = ip_network(SERVICES)[1]  # the first address of the services is the API server's


def make_certificates(folder: Path) -> None:
    """Write keys, certificates and a kubeconfig for each user into ``folder``."""
    folder.mkdir(mode=0o700)
    for authority in ("ca", "front-proxy-ca"):
        _openssl(
            folder,
            *("req", "-x509", "-days", "30", "-subj", f"/CN={authority}"),
            *("-keyout", f"{authority}.key", "-out", f"{authority}.crt", *_NEW_KEY),
        )
    names = ",".join([*(f"DNS:{name}" for name in _API_NAMES), f"IP:{API}", f"IP:{_API_SERVICE}"])
    _sign(folder, "apiserver", "/CN=kube-apiserver", f"{_SERVER}{names}")
    _sign(folder, "front-proxy-client", "/CN=front-proxy-client", _CLIENT, "front-proxy-ca")
    # The names decide what each may do: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
    users = {
        "admin": "/O=system:masters/CN=admin",
        "apiserver-kubelet": "/O=system:masters/CN=apiserver-kubelet",
        "controller-manager": "/CN=system:kube-controller-manager",
        "scheduler": "/CN=system:kube-scheduler",
        "proxy": "/CN=system:kube-proxy",
    }
    for node in NODES:
        users[node.name] = f"/O=system:nodes/CN=system:node:{node.name}"
        names = f"DNS:{node.name},IP:{node.address}"
        _sign(folder, f"{node.name}-serving", f"/CN={node.name}", f"{_SERVER}{names}")
    for name, subject in users.items():
        _sign(folder, name, subject, _CLIENT)
        _write_kubeconfig(folder, name)
    # Signs the tokens of service accounts.
    _openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "accounts.key")
    _openssl(folder, "ec", "-in", "accounts.key", "-pubout", "-out", "accounts.pub")


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _sign(folder: Path, name: str, subject: str, extensions: str, authority: str = "ca") -> None:
    (folder / f"{name}.ext").write_text(extensions)
    files = ("-keyout", f"{name}.key", "-out", f"{name}.csr")
    _openssl(folder, "req", "-subj", subject, *files, *_NEW_KEY)
    _openssl(
        folder,
        *("x509", "-req", "-days", "30", "-in", f"{name}.csr", "-out", f"{name}.crt"),
        *("-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-CAcreateserial"),
        *("-extfile", f"{name}.ext"),
    )


def _openssl(folder: Path, *arguments: str) -> None:
    run("env", "-C", str(folder), "openssl", *arguments)


def _write_kubeconfig(folder: Path, user: str) -> None:
    server = {"server": f"https://{API}:6443", "certificate-authority": f"{folder}/ca.crt"}
    keys = {
        "client-certificate": f"{folder}/{user}.crt",
        "client-key": f"{folder}/{user}.key",
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "randsvc",
        "contexts": [{"name": "randsvc", "context": {"cluster": "randsvc", "user": user}}],
        "clusters": [{"name": "randsvc", "cluster": server}],
        "users": [{"name": user, "user": keys}],
    }
    # JSON is YAML, too.
    (folder / f"{user}.kubeconfig").write_text(json.dumps(config))
