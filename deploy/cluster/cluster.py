"""Runs the cluster: starts its parts in order, installs the chart, and removes every trace."""

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from string import Template

from rich.console import Console

from deploy.cluster.certificates import make_certificates
from deploy.cluster.clients import fetch_clients
from deploy.cluster.control_plane import make_api_server, make_controllers, make_operator
from deploy.cluster.images import RELOADER, build_images, list_images
from deploy.cluster.network import NODES, NetworkError, Node, remove_network, run_network
from deploy.cluster.nodes import (
    PLUGINS,
    empty_node,
    find_socket,
    import_image,
    keep_kernel_settings,
    kill_programs,
    make_firewall,
    make_node,
    remove_node,
)
from deploy.cluster.programs import find_crds, list_modules
from randsvc.project import ROOT
from randsvc.stack.build import build_programs, find_cache, make_thanos_module
from randsvc.stack.programs import BLACKBOX_PACKAGE, Program
from randsvc.stack.supervisor import Stack, run_programs, wait_until

__all__ = (
    "CHART",
    "NAMESPACE",
    "VALUES",
    "Cluster",
    "ClusterError",
    "run_api_server",
    "run_cluster",
)

CHART = ROOT / "deploy/helm/randsvc"
VALUES = ROOT / "deploy/cluster/values.yaml"
NAMESPACE = "randsvc"
_MANIFESTS = ROOT / "deploy/cluster/manifests"
_FOR_API_SERVER = ("ip", "nsenter", "openssl")
_FOR_NODES = ("containerd", "runc", "nft", "iptables", "ipset", BLACKBOX_PACKAGE)
"""Programs that the system must have, besides the plugins of its network."""
START_WITHIN = 300.0
"""Seconds that a part has until it is ready; on an idle machine, it takes a tenth of that."""


class ClusterError(Exception):
    """The cluster cannot run; the first line says why."""


class Cluster:
    """A running cluster. ``stack`` starts and stops the programs of the nodes."""

    def __init__(self, clients: Path, folder: Path, stack: Stack) -> None:
        self.clients = clients
        self.folder = folder
        self.stack = stack
        self.kubeconfig = folder / "keys/admin.kubeconfig"

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl and return what it printed. Raises ``ClusterError``."""
        return self._run("kubectl", *arguments, given=given)

    def helm(self, *arguments: str) -> str:
        """Run Helm and return what it printed. Raises ``ClusterError``."""
        return self._run("helm", *arguments)

    def install(self, *options: str) -> None:
        """Install or upgrade the chart, and wait until every pod serves."""
        self.helm(
            *("upgrade", "--install", "randsvc", str(CHART), f"--namespace={NAMESPACE}"),
            *(f"--values={VALUES}", "--wait", f"--timeout={START_WITHIN:.0f}s", *options),
        )

    def find_address(self, service: str, namespace: str = NAMESPACE) -> str:
        """Return the address and port of a service, which this machine reaches."""
        field = "-ojsonpath={.spec.clusterIP}:{.spec.ports[0].port}"
        return self.kubectl(f"--namespace={namespace}", "get", "service", service, field)

    def wait(self, what: str, holds: Callable[[], object], *, within: float = START_WITHIN) -> None:
        """Wait until ``holds()`` is true; a ``ClusterError`` counts as false."""

        def check() -> object:
            self.stack.check()
            try:
                return holds()
            except ClusterError:
                return False

        try:
            wait_until(check, within=within, every=0.5)
        except TimeoutError:
            raise ClusterError(f"{what}: not within {within:g} s") from None

    def wait_for(self, condition: str, *objects: str) -> None:
        """Wait until Kubernetes states a condition of objects."""
        command = ("wait", f"--for=condition={condition}", "--timeout=10s", *objects)
        self.wait(f"{condition}: {' '.join(objects)}", lambda: self.kubectl(*command))

    def wait_for_rollout(self, part: str, namespace: str = NAMESPACE) -> None:
        """Wait until every pod of a Deployment or StatefulSet is up to date and ready."""
        command = ("rollout", "status", f"--namespace={namespace}", part, "--timeout=10s")
        self.wait(f"{part} is ready", lambda: self.kubectl(*command))

    def _run(self, program: str, *arguments: str, given: str | None = None) -> str:
        done = subprocess.run(  # noqa: S603
            [self.clients / program, *arguments],
            env=os.environ | {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.stack.folder)},
            input=given,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            # Helm names each link of the chart's files.
            lines = done.stderr.strip().splitlines()
            said = [line for line in lines if "found symbolic link" not in line]
            raise ClusterError(f"{program} {' '.join(arguments)}: {' | '.join(said[-3:])}")
        return done.stdout


@contextmanager
def run_cluster(console: Console) -> Iterator[Cluster]:
    """Run the cluster, with the chart installed, in a ``with`` block.

    Raises ``ClusterError``, ``BuildError``, ``NetworkError`` or ``StackError``. Whatever happens,
    processes, mounts, namespaces, control groups and kernel settings are as before afterwards. Only
    after a kill they are not; the next start removes them.
    """
    missing = [] if Path(PLUGINS).is_dir() else [PLUGINS]
    _check_machine(_FOR_API_SERVER + _FOR_NODES, missing)
    started = time.monotonic()

    def report(what: str) -> None:
        console.print(f"{time.monotonic() - started:6.1f} s  {what}")

    # SIGTERM ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack_programs = build_programs(console=console)
    programs = build_programs(list_modules(), console=console)
    versions = _read_versions()
    images = list(build_images(list_images(stack_programs, programs, versions)))
    report(f"{len(images)} images are built")
    with ExitStack() as cleanup:
        cleanup.enter_context(keep_kernel_settings())
        cluster = cleanup.enter_context(run_api_server(programs))
        folder, stack = cluster.folder, cluster.stack
        report("the API server is ready")
        try:
            for program in make_controllers(programs, folder):
                _start(stack, program)
            report("the control plane is ready")
            for node in NODES:
                # While its programs run, as containers outlive their containerd.
                cleanup.callback(_empty, node, stack, folder)
                _start_node(node, cluster, programs, folder, images)
            cluster.wait_for("Ready", *(f"node/{node.name}" for node in NODES))
            for node in NODES:
                _start(stack, make_firewall(node, programs, folder))
            report("both nodes are ready, with their images")
            _start(stack, make_operator(programs, folder, RELOADER))
            for manifest in sorted(_MANIFESTS.glob("*.yaml")):
                text = Template(manifest.read_text()).safe_substitute(versions)
                cluster.kubectl("apply", "--filename=-", given=text)
            cluster.install()
            report("the chart is installed")
            for namespace, part in _PARTS:
                cluster.wait_for_rollout(part, namespace)
            report("Prometheus and Alertmanager are ready")
            yield cluster
        finally:
            # A second Ctrl-C must leave nothing behind.
            for one in (signal.SIGINT, signal.SIGTERM):
                signal.signal(one, signal.SIG_IGN)
            report("stopping, and removing everything")


@contextmanager
def run_api_server(programs: Path) -> Iterator[Cluster]:
    """Run etcd and the API server in a ``with`` block: a cluster without nodes.

    It has the CustomResourceDefinitions of the operator and of KEDA. ``programs`` is the folder of
    the programs. Raises what ``run_cluster`` raises, and leaves as little behind.
    """
    _check_machine(_FOR_API_SERVER)
    clients = fetch_clients()
    folder = find_cache().parent / "cluster"
    with ExitStack() as cleanup:
        cleanup.enter_context(_lock(folder.with_suffix(".lock")))
        _remove(folder)
        folder.mkdir()
        cleanup.callback(_remove, folder)
        cleanup.enter_context(run_network())
        make_certificates(folder / "keys")
        api_server = make_api_server(programs, folder)
        cluster = Cluster(
            clients, folder, cleanup.enter_context(run_programs(api_server, {}, folder))
        )
        cluster.wait("the API server", lambda: cluster.kubectl("get", "--raw=/readyz"))
        # Too large for the annotation that a client's apply writes.
        folders = (f"--filename={folder}" for folder in find_crds())
        cluster.kubectl("apply", "--server-side", *folders)
        cluster.wait_for("Established", "crd", "--all")
        yield cluster


_PARTS = (
    ("kube-system", "deployment/coredns"),
    ("kube-system", "deployment/metrics-server"),
    ("monitoring", "deployment/inbox"),
    ("monitoring", "deployment/query"),
    ("monitoring", "statefulset/prometheus-monitoring"),
    ("monitoring", "statefulset/alertmanager-monitoring"),
)
"""What must be ready besides the chart, with its namespace."""


def _check_machine(needed: Sequence[str], missing: Sequence[str] = ()) -> None:
    if os.geteuid() != 0:
        raise ClusterError(
            "the cluster needs root, for network namespaces, mounts and control groups; with a "
            "cluster of your own, use `helm install` as in docs/beyond-one-machine.md"
        )
    missing = [*(name for name in needed if shutil.which(name) is None), *missing]
    if missing:
        raise ClusterError(f"missing: {', '.join(missing)}; `make cluster` installs them on Debian")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError(f"another process runs the cluster and holds {path}") from None
        yield


def _start_node(
    node: Node, cluster: Cluster, programs: Path, folder: Path, images: Sequence[Path]
) -> None:
    containerd, *others = make_node(node, programs, folder)
    _start(cluster.stack, containerd)
    # Without it, the kubelet ends.
    cluster.wait(f"containerd of {node.name}", find_socket(node, folder).exists)
    for program in others:
        _start(cluster.stack, program)
    for image in images:
        import_image(node, folder, image)


def _start(stack: Stack, program: Program) -> None:
    stack.programs[program.name] = program
    stack.start(program.name)


def _empty(node: Node, stack: Stack, folder: Path) -> None:
    stack.stop(f"kubelet-{node.name}")  # or it would start the containers again
    with suppress(NetworkError):  # containerd has ended; remove_node does without
        empty_node(node, folder)


def _remove(folder: Path) -> None:
    """Remove what a run has left, whether it ended in order or was killed."""
    kill_programs(folder)
    for node in NODES:
        remove_node(node, folder)
    remove_network()
    shutil.rmtree(folder, ignore_errors=True)


def _read_versions() -> Mapping[str, str]:
    lines = (ROOT / ".env").read_text().splitlines()
    stated = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return stated | {"THANOS_VERSION": f"v{make_thanos_module().release}"}
