"""The programs of a node: containerd, the kubelet, kube-proxy and kube-router."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import yaml

from deploy.cluster.network import DNS, PODS, SERVICES, NetworkError, Node, run
from randsvc.stack.programs import Program

__all__ = (
    "PAUSE",
    "PLUGINS",
    "empty_node",
    "find_processes",
    "find_socket",
    "import_image",
    "keep_kernel_settings",
    "kill_programs",
    "make_firewall",
    "make_node",
    "remove_node",
)

PAUSE = "localhost/pause:1"
"""The image that holds the network of a pod."""
PLUGINS = "/usr/lib/cni"
"""Where Debian's package containernetworking-plugins puts the plugins."""
_CGROUPS = Path("/sys/fs/cgroup")
_KERNEL = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
"""What the kubelet sets for the whole machine."""


def make_node(node: Node, programs: Path, folder: Path) -> tuple[Program, ...]:
    """Write the node's configuration into a folder of its name, and make its programs."""
    own = folder / node.name
    own.mkdir()
    _make_cgroups(node)
    keys = folder / "keys"
    _write_network(node, own)
    (own / "containerd.toml").write_text(f"""\
version = 2
root = "{own}/root"
state = "{own}/state"
[grpc]
  address = "{find_socket(node, folder)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Without CAP_SYS_RESOURCE, as in a container, no process may become less likely to be killed.
  restrict_oom_score_adj = true
  # Below `state`, so that the pods' namespaces can be told from those of other programs.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{own}/network"
""")
    _write_yaml(
        own / "kubelet.yaml",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{find_socket(node, folder)}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{node.name}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "podLogsDir": f"{own}/logs",
            "volumePluginDir": f"{own}/plugins",
            "clusterDNS": [DNS],
            "clusterDomain": "cluster.local",
            # The machine's own servers cannot be reached from a pod.
            "resolvConf": "",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{keys}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{keys}/{node.name}-serving.crt",
            "tlsPrivateKeyFile": f"{keys}/{node.name}-serving.key",
            # The disk is the machine's, and an image that is removed cannot be pulled again.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "4s",
        },
    )
    _write_yaml(
        own / "proxy.yaml",
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            # A bridge joins the pods of a node. If the node kept the sender's address, a pod would
            # answer over the bridge directly, from an address that the client did not ask.
            "nftables": {"masqueradeAll": True},
            "clientConnection": {"kubeconfig": f"{keys}/proxy.kubeconfig"},
            "clusterCIDR": PODS,
            "hostnameOverride": node.name,
            # The namespace shares the machine's table of connections, which is large enough.
            "conntrack": {"maxPerCore": 0},
        },
    )
    return (
        _make(node, "containerd", "/usr/bin/containerd", f"--config={own}/containerd.toml"),
        _make(
            node,
            "kubelet",
            f"{programs}/kubelet",
            f"--config={own}/kubelet.yaml",
            f"--kubeconfig={keys}/{node.name}.kubeconfig",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--root-dir={own}/kubelet",
        ),
        _make(node, "kube-proxy", f"{programs}/kube-proxy", f"--config={own}/proxy.yaml"),
    )


def make_firewall(node: Node, programs: Path, folder: Path) -> Program:
    """Make what enforces network policies; it ends unless Kubernetes knows the node."""
    return _make(
        node,
        "kube-router",
        f"{programs}/kube-router",
        # It can do the work of the network plugin and of kube-proxy, too.
        *("--run-router=false", "--run-service-proxy=false"),
        f"--service-cluster-ip-range={SERVICES}",
        f"--kubeconfig={folder}/keys/admin.kubeconfig",
        f"--hostname-override={node.name}",
    )


def _make(node: Node, name: str, *command: str) -> Program:
    # Not a shim or ctr of containerd 2, which may come first in PATH.
    env = os.environ | {"PATH": f"/usr/bin:/usr/sbin:/bin:/sbin:{PLUGINS}"}
    inside = node.inside(*command)
    return Program(name=f"{name}-{node.name}", command=inside, listens=(), ready=None, env=env)


def find_socket(node: Node, folder: Path) -> Path:
    """Return the socket of the node's containerd, which exists once containerd is ready."""
    return folder / node.name / "containerd.sock"


def import_image(node: Node, folder: Path, image: Path) -> None:
    """Give the node an image, a file as `docker save` writes it."""
    _ctr(node, folder, "images", "import", str(image))


def empty_node(node: Node, folder: Path) -> None:
    """End all containers of the node, while its containerd runs."""
    _kill(find_processes(node))
    for task in _ctr(node, folder, "tasks", "list", "--quiet").split():
        with suppress(NetworkError):  # it may have ended by itself
            _ctr(node, folder, "tasks", "delete", "--force", task)


def remove_node(node: Node, folder: Path) -> None:
    """Remove what is left of the node on this machine: containers, mounts, control groups."""
    own = f"{folder / node.name}/"
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(own)), reverse=True):
        with suppress(NetworkError):
            run("umount", "--lazy", mount)
    _kill(find_processes(node))
    for root in _find_cgroups(node):
        for group, _, _ in os.walk(root, topdown=False):
            with suppress(OSError):
                Path(group).rmdir()


@contextmanager
def keep_kernel_settings() -> Iterator[None]:
    """Put back what the kubelet changes for the whole machine."""
    before = {name: Path("/proc/sys", name).read_text() for name in _KERNEL}
    try:
        yield
    finally:
        for name, value in before.items():
            if Path("/proc/sys", name).read_text() != value:
                Path("/proc/sys", name).write_text(value)


def kill_programs(folder: Path) -> None:
    """Kill every program that has a file of the cluster's folder in its command.

    containerd leaves the parents of its containers running, so that it can be restarted. After a
    kill of the cluster, the API server takes a minute to end.
    """
    _kill(
        process
        for process in psutil.process_iter(["cmdline"])
        if any(f"{folder}/" in part for part in process.info["cmdline"] or ())
    )


def _kill(processes: Iterable[psutil.Process]) -> None:
    killed = list(processes)
    for process in killed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(killed, timeout=10)


def _ctr(node: Node, folder: Path, *arguments: str) -> str:
    address = f"--address={find_socket(node, folder)}"
    return run("/usr/bin/ctr", address, "--namespace=k8s.io", *arguments)


def _make_cgroups(node: Node) -> None:
    for group in _find_cgroups(node):
        group.mkdir(exist_ok=True)
        # Otherwise all containers together get as much as one process of the machine.
        for name, value in (("cpu.shares", 32_768), ("cpu.weight", 1_000)):  # version 1, version 2
            if (group / name).exists():
                (group / name).write_text(str(value))
        # In version 1, a new cpuset is empty, and no process can enter it.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (group / name).exists() and not (group / name).read_text().strip():
                (group / name).write_text((group.parent / name).read_text())


def _find_cgroups(node: Node) -> list[Path]:
    """Return the node's control group in each hierarchy; version 2 has one."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS / node.name]
    return [
        hierarchy / node.name
        for hierarchy in _CGROUPS.iterdir()
        if hierarchy.is_dir() and not hierarchy.is_symlink()
    ]


def find_processes(node: Node) -> Iterator[psutil.Process]:
    """Yield every process in a container of the node."""
    found: set[int] = set()
    for root in _find_cgroups(node):
        for file in root.rglob("cgroup.procs"):
            with suppress(OSError):  # a group that is being removed
                found.update(map(int, file.read_text().split()))
    for number in found:
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(number)


def _write_network(node: Node, own: Path) -> None:
    (own / "network").mkdir()
    plugins = [
        {
            "type": "bridge",
            "bridge": "pods0",
            "isGateway": True,
            "hairpinMode": True,  # a pod reaches itself through its service
            "ipam": {
                "type": "host-local",
                "dataDir": f"{own}/addresses",
                "ranges": [[{"subnet": node.pods}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ]
    config = {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}
    (own / "network/10-pods.conflist").write_text(json.dumps(config))


def _write_yaml(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
