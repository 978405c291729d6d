"""Run the cluster until Ctrl-C: ``python -m deploy.cluster``."""

import sys
import time

from rich.console import Console
from rich.table import Table

from deploy.cluster.cluster import Cluster, ClusterError, run_cluster
from deploy.cluster.network import NetworkError
from randsvc.stack.build import BuildError
from randsvc.stack.programs import StackError

_PAGES = {
    "a random number": ("randsvc", "randsvc", "/random"),
    "login": ("randsvc-auth", "randsvc", "/login"),
    "Prometheus": ("prometheus", "monitoring", ""),
    "Query: both Prometheus as one": ("query", "monitoring", ""),
    "Alertmanager": ("alertmanager", "monitoring", ""),
    "Inbox: what was sent to whom": ("inbox", "monitoring", ""),
}


def main() -> int:
    """Run, print the addresses, and wait."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with run_cluster(console) as cluster:
            console.print(_draw_table(cluster))
            console.print(f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.clients}:$PATH")
            console.print("This machine alone reaches these addresses. Press Ctrl-C to stop.")
            while True:
                time.sleep(1)
                cluster.stack.check()
    except KeyboardInterrupt:
        return 0
    except (ClusterError, NetworkError, BuildError, StackError) as error:
        console.print(str(error), markup=False)
        return 1


def _draw_table(cluster: Cluster) -> Table:
    table = Table("Page", "URL")
    for page, (service, namespace, path) in _PAGES.items():
        table.add_row(page, f"http://{cluster.find_address(service, namespace)}{path}")
    return table


if __name__ == "__main__":
    sys.exit(main())
