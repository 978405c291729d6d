"""Break a Kubernetes cluster on purpose: ``make chaos-cluster``.

Each trial does to the cluster of ``make cluster`` what operators and machines do, while clients
send requests and keep books. It ends when all replicas serve again, every target is up, and every
rule is healthy. If a promise of docs/beyond-one-machine.md breaks, the exit code is 1, with a line
for each.
"""

import argparse
import json
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.chaos.alerts import ON_SPEED
from benchmarks.chaos.books import Books, Load, send_load
from benchmarks.machine import describe_machine
from deploy.cluster.cluster import Cluster, ClusterError, run_cluster
from deploy.cluster.keda import install_keda
from deploy.cluster.network import NODES, NetworkError, cut_link
from deploy.cluster.nodes import find_processes
from deploy.cluster.programs import make_keda_module
from randsvc.dashboards import list_queries
from randsvc.markdown import write_table
from randsvc.project import ROOT
from randsvc.prometheus_api import Prometheus, PrometheusError
from randsvc.rules import PRODUCTION
from randsvc.rules.service_alerts import select_settling
from randsvc.stack.build import BuildError, build_programs
from randsvc.stack.programs import StackError
from randsvc.stack.supervisor import wait_until
from randsvc.times import parse_time

__all__ = ("TRIALS", "Outcome", "Trial", "find_faults", "judge", "main", "write_markdown")

RESULTS = ROOT / "benchmarks/cluster-results.md"
RATE = 40.0
"""Requests/s: 1,000 requests in the time that an update takes."""
SATURATING = 400.0
"""Requests/s that take more CPU than two replicas request."""
REPLICAS = 2
"""Of each service, at ``RATE``."""
_LONG = 2.0
"""Seconds that a request to /random takes, where those in progress fill the replicas."""
_FILLING = ((110.0, 3), (150.0, 4), (RATE, REPLICAS))
"""Requests/s, and the replicas that they need: two thirds go to /random, so 148, 202 and 54 are in
progress, of 100 that a replica takes. KEDA keeps each replica at 60 or fewer."""
_EVALUATION = 35
"""Seconds in which Prometheus evaluates each alert, and with it what was measured before."""
_FIRST, _SECOND = NODES
_SERVICES = ("deployment/randsvc", "deployment/randsvc-auth")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """``act`` does something to the cluster, and returns when all replicas serve again.

    The promise: at most ``failed`` requests fail, the last of them ``trouble`` seconds after the
    beginning, and no alert but ``alerts`` fires. The alert ``page`` must reach the pager.
    """

    name: str
    act: Callable[[Cluster, Load], None]
    requests: int = 1000
    """How many are sent at least."""
    failed: int = 0
    trouble: float = 0.0
    alerts: frozenset[str] = frozenset()
    page: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``trouble`` is the seconds from the beginning to the last failure, ``took`` the whole."""

    name: str
    sent: int
    failed: int
    trouble: float
    took: float
    alerts: tuple[str, ...]
    problems: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trials, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.chaos_cluster", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of the requests")
    names = [trial.name for trial in TRIALS]
    parser.add_argument("--only", action="append", choices=names, help="writes no results")
    given = parser.parse_args(arguments)
    chosen = [trial for trial in TRIALS if not given.only or trial.name in given.only]
    console = Console(width=150, soft_wrap=True, highlight=False)
    outcomes = []
    try:
        if any(trial.act is _scale_on_concurrency for trial in chosen):
            build_programs([make_keda_module()], console=console)  # no trial waits for it
        with run_cluster(console) as cluster:
            for trial in chosen:
                with console.status(trial.name):
                    outcomes.append(_run(trial, cluster, given.seed))
                console.print(_describe(outcomes[-1]), markup=False)
    except KeyboardInterrupt:
        return 130
    except (ClusterError, NetworkError, BuildError, StackError) as error:
        console.print(str(error), markup=False)
        return 1
    console.print(_draw_table(outcomes))
    if not given.only:
        RESULTS.write_text(write_markdown(outcomes))
        console.print(f"written to {RESULTS.relative_to(ROOT)}")
    return int(any(outcome.problems for outcome in outcomes))


def judge(
    trial: Trial, books: Books, began: float, took: float, alerts: set[str], paged: set[str]
) -> Outcome:
    """Compare a trial's books and the alerts that fired with its promise."""
    failures = [
        *books.failures,
        *((at, f"status {kind.status}") for at, kind in books.responses if kind.status >= "500"),
    ]
    sent = len(books.responses) + len(books.failures)
    trouble = max((at for at, _ in failures), default=began) - began
    problems = []
    if sent < trial.requests:
        problems.append(f"only {sent} requests were sent, expected {trial.requests}")
    if len(failures) > trial.failed:
        reasons = Counter(reason for _, reason in failures).most_common()
        problems.append(
            f"{len(failures)} of {sent} requests failed, at most {trial.failed} may: "
            + ", ".join(f"{number} {reason}" for reason, number in reasons)
        )
    if trouble > trial.trouble:
        problems.append(
            f"a request failed after {trouble:.1f} s, none may after {trial.trouble:g} s"
        )
    problems += [f"{alert} fired" for alert in sorted(alerts - trial.alerts - ON_SPEED)]
    if trial.page and trial.page not in paged:
        problems.append(f"{trial.page} reached nobody")
    return Outcome(
        name=trial.name,
        sent=sent,
        failed=len(failures),
        trouble=round(trouble, 1),
        took=round(took, 1),
        alerts=tuple(sorted(alerts)),
        problems=tuple(problems),
    )


def find_faults(targets: Any, groups: Any, expected: int) -> list[str]:
    """Return a line for each target that is not up, and each rule that is not healthy or missing.

    The first two are the data of Prometheus' /api/v1/targets and /api/v1/rules, and ``expected`` is
    the number of rules in all PrometheusRules.
    """
    faults = [
        f"target {target['scrapeUrl']}: {target['lastError'] or target['health']}"
        for target in targets["activeTargets"]
        if target["health"] != "up"
    ]
    rules = [rule for group in groups["groups"] for rule in group["rules"]]
    faults += [
        f"rule {rule['name']}: {rule.get('lastError') or rule['health']}"
        for rule in rules
        if rule["health"] != "ok"
    ]
    if len(rules) != expected:
        faults.append(f"Prometheus has {len(rules)} rules, expected {expected}")
    return faults


def write_markdown(outcomes: Sequence[Outcome]) -> str:
    """Return the results as a document."""
    broken = [f"- {one.name}: {problem}" for one in outcomes for problem in one.problems]
    parts = [
        "<!-- Written by `make chaos-cluster`; do not edit. -->",
        "# What the service survives in Kubernetes",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} in a cluster of two nodes on one machine with "
        f"{describe_machine()}. Run it again: `make chaos-cluster`. "
        "[docs/beyond-one-machine.md](../docs/beyond-one-machine.md) explains trials and promises.",
        "A request *failed* without a response, or with status 5xx. *Last failure* is the time "
        "from the beginning of a trial to its last failed request. At the end of each trial, all "
        "replicas served, every target was up, and every rule was loaded and healthy. Alerts are "
        f"those that fired until {_EVALUATION} s later. "
        f"{', '.join(sorted(ON_SPEED))} are not judged, as they also fire on a busy machine.",
        write_table(_HEADS, [*map(_list_cells, outcomes)], right=range(1, 5)),
        "## Broken promises",
        "\n".join(broken) or "None.",
    ]
    return "\n\n".join(parts) + "\n"


def _run(trial: Trial, cluster: Cluster, seed: int) -> Outcome:
    _wait_until_quiet(cluster)
    if trial.page:
        # Until then nothing is said to be down, and the time to a page would be that of a start.
        cluster.wait("each Prometheus has settled", lambda: _has_settled(cluster), within=180)
    urls = [f"http://{cluster.find_address(name)}" for name in ("randsvc", "randsvc-auth")]
    problems: list[str] = []
    with send_load(urls[0], urls[1], seed) as load:
        load.rate = RATE
        began = time.time()
        try:
            trial.act(cluster, load)
            _wait_until_healthy(cluster)
        except ClusterError as error:
            problems.append(str(error))
        took = time.time() - began
        with suppress(TimeoutError):  # judged below
            wait_until(lambda: load.ended >= trial.requests, within=10 * trial.requests / RATE)
        books = load.close_books()
    time.sleep(_EVALUATION)
    alerts = _find_alerts(cluster, int(time.time() - began))
    paged = _find_pages(cluster, began) if trial.page else set()
    outcome = judge(trial, books, began, took, alerts, paged)
    return replace(outcome, problems=(*problems, *outcome.problems))


def _wait_until_quiet(cluster: Cluster) -> None:
    """Wait until no alert of the trial before fires."""
    cluster.wait("no judged alert fires", lambda: _find_alerts(cluster, _EVALUATION) <= ON_SPEED)


def _has_settled(cluster: Cluster) -> bool:
    try:
        return not any(one.query(select_settling(PRODUCTION)) for one in _list_prometheus(cluster))
    except PrometheusError:  # it starts
        return False


def _wait_for_replicas(cluster: Cluster) -> None:
    for service in _SERVICES:
        cluster.wait_for_rollout(service)


def _wait_until_healthy(cluster: Cluster) -> None:
    _wait_for_replicas(cluster)
    _wait_without_faults(cluster, "every target is up and every rule is healthy", _list_faults)


def _wait_without_faults(
    cluster: Cluster, what: str, list_faults: Callable[[Cluster], list[str]]
) -> None:
    faults: list[str] = []

    def is_healthy() -> bool:
        faults[:] = list_faults(cluster)
        return not faults

    try:
        cluster.wait(what, is_healthy, within=180)
    except ClusterError as error:
        raise ClusterError(f"{error}: {'; '.join(faults[:3])}") from None


def _list_faults(cluster: Cluster) -> list[str]:
    objects = json.loads(cluster.kubectl("get", "prometheusrules", "-A", "-ojson"))["items"]
    expected = sum(len(group["rules"]) for one in objects for group in one["spec"]["groups"])
    faults = []
    for prometheus in _list_prometheus(cluster):
        try:
            targets = prometheus.get("targets", state="active")
            faults += find_faults(targets, prometheus.get("rules"), expected)
        except PrometheusError as error:
            faults.append(str(error))
    return faults


def _list_silent_panels(cluster: Cluster) -> list[str]:
    """Return a line for each panel that gets no data from Query, though it should."""
    query = Prometheus(f"http://{cluster.find_address('query', 'monitoring')}", timeout=10)
    faults = []
    for each in list_queries(rate_interval="20s"):  # four scrapes, as Grafana takes
        try:
            found = query.get("query", query=each.expr)["result"]
        except PrometheusError as error:
            faults.append(f"{each.dashboard}, {each.panel}: {error}")
            continue
        # The pods are scraped: there is no Collector, which that dashboard shows.
        if not found and not each.empty and each.dashboard != "pipeline":
            faults.append(f"{each.dashboard}, {each.panel}: no data")
    return faults


_CONNECT = """
import json, socket, sys
def connects(port):
    try:
        socket.create_connection(port.split(":"), 2).close()
    except OSError:
        return False
    return True
print(json.dumps({port: connects(port) for port in sys.argv[1:]}))
"""


def _list_wrong_ports(cluster: Cluster) -> list[str]:
    """Return a line for each port of the services that a pod of others reaches, or not, wrongly."""
    expected = {
        f"{pod['status'].get('podIP')}:{port['containerPort']}": port["name"] == "http"
        for pod in _list_pods(cluster, "app.kubernetes.io/component in (randsvc,auth)")
        for container in pod["spec"]["containers"]
        for port in container["ports"]
    }
    inside = ("exec", "--namespace=monitoring", "deployment/inbox", "--", "python3", "-c")
    found = json.loads(cluster.kubectl(*inside, _CONNECT, *expected))
    return [
        f"{port} is {'open' if found[port] else 'closed'} to other pods"
        for port, is_open in expected.items()
        if found[port] != is_open
    ]


def _list_prometheus(cluster: Cluster) -> list[Prometheus]:
    """Return a client of each replica, which this machine reaches by the address of its pod."""
    pods = _list_pods(cluster, "app.kubernetes.io/name=prometheus", "monitoring")
    addresses = [pod["status"]["podIP"] for pod in pods if "podIP" in pod["status"]]
    return [Prometheus(f"http://{address}:9090", timeout=5) for address in addresses]


def _list_pods(cluster: Cluster, selector: str, namespace: str = "randsvc") -> list[Any]:
    command = ("get", "pods", f"--namespace={namespace}", f"--selector={selector}", "-ojson")
    pods: list[Any] = json.loads(cluster.kubectl(*command))["items"]
    return pods


def _find_alerts(cluster: Cluster, seconds: int) -> set[str]:
    """Return the alerts that fired in the last seconds, as any replica of Prometheus saw it."""
    found = set()
    for prometheus in _list_prometheus(cluster):
        with suppress(PrometheusError):  # one that is cut off, or starts
            fired = f'max_over_time(ALERTS{{alertstate="firing",level!="none"}}[{seconds}s])'
            found |= {
                series.labels["alertname"]
                for series in prometheus.query(f"group by (alertname) ({fired})")
            }
    return found


def _find_pages(cluster: Cluster, since: float) -> set[str]:
    """Return the alerts that the pager was sent since a Unix time."""
    url = f"http://{cluster.find_address('inbox', 'monitoring')}/notifications"
    with urllib.request.urlopen(url, timeout=5) as response:
        notifications = json.load(response)
    return {
        alert["name"]
        for each in notifications
        if each["receiver"] == "pager" and parse_time(each["at"], now=0) > since
        for alert in each["alerts"]
    }


_HEADS = ("Trial", "Requests", "Failed", "Last failure", "Took", "Alerts")


def _list_cells(outcome: Outcome) -> list[str]:
    return [
        outcome.name,
        f"{outcome.sent:,}",
        f"{outcome.failed:,}",
        f"{outcome.trouble:g} s" if outcome.failed else "",
        f"{outcome.took:g} s",
        ", ".join(outcome.alerts) or "none",
    ]


def _draw_table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(*_HEADS)
    for outcome in outcomes:
        table.add_row(*_list_cells(outcome))
    return table


def _describe(outcome: Outcome) -> str:
    cells = zip(_HEADS[1:], _list_cells(outcome)[1:], strict=True)
    said = ", ".join(f"{head.lower()} {cell or 'none'}" for head, cell in cells)
    broken = "".join(f"\n  broken promise: {problem}" for problem in outcome.problems)
    return f"{outcome.name}: {said}{broken}"


def _install(cluster: Cluster, load: Load) -> None:
    """See that what `run_cluster` has installed serves, is watched and drawn, on both nodes."""
    _expect_spread(cluster)
    _wait_without_faults(cluster, "the management ports are closed", _list_wrong_ports)
    _wait_without_faults(cluster, "every panel has data through Query", _list_silent_panels)


def _expect_spread(cluster: Cluster) -> None:
    cluster.wait(
        "a pod on each node",
        lambda: all(_count_ready(cluster, node.name) for node in NODES),
        within=60,
    )


def _upgrade(cluster: Cluster, load: Load) -> None:
    # Of both services, so that every pod is replaced.
    cluster.install("--set=graceSeconds=9")


def _roll_back(cluster: Cluster, load: Load) -> None:
    cluster.helm("rollback", "randsvc", "--namespace=randsvc", "--wait", "--timeout=5m")


def _kill(cluster: Cluster, load: Load) -> None:
    killed = [process for process in find_processes(_SECOND) if process.cmdline()[-1:] == ["serve"]]
    if not killed:
        raise ClusterError(f"no pod of the service is on {_SECOND.name}")
    before = _count_restarts(cluster)
    for process in killed:
        process.kill()
    cluster.wait("the process is started again", lambda: _count_restarts(cluster) > before)
    cluster.wait("all pods are ready", lambda: _count_ready(cluster) >= REPLICAS)


def _drain(cluster: Cluster, load: Load) -> None:
    cluster.kubectl(
        *("drain", _SECOND.name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=3m")
    )
    _wait_until_healthy(cluster)
    cluster.kubectl("uncordon", _SECOND.name)
    _spread(cluster)


def _spread(cluster: Cluster) -> None:
    """Use a node that is back; Kubernetes moves no pod there by itself."""
    cluster.kubectl("rollout", "restart", "--namespace=randsvc", *_SERVICES)
    _wait_for_replicas(cluster)
    _expect_spread(cluster)


def _cut(cluster: Cluster, load: Load) -> None:
    with cut_link():
        cluster.wait(
            "the pods are replaced", lambda: _count_ready(cluster, _FIRST.name) >= REPLICAS
        )
    cluster.wait_for("Ready", f"node/{_SECOND.name}")
    _spread(cluster)


def _scale(cluster: Cluster, load: Load) -> None:
    _scale_to(2 * REPLICAS, SATURATING, cluster, load)
    _scale_to(REPLICAS, RATE, cluster, load)


def _scale_on_concurrency(cluster: Cluster, load: Load) -> None:
    """Fill the replicas with requests that wait, which their CPU does not show, under KEDA."""
    install_keda(cluster)
    cluster.install(
        "--set=autoscaling.mode=concurrency",
        "--set=autoscaling.prometheusUrl=http://prometheus-operated.monitoring.svc:9090",
        f"--set=randsvc.env.RANDSVC_DELAY=constant({_LONG:g})",
    )
    for rate, replicas in _FILLING:
        _scale_to(replicas, rate, cluster, load)
    cluster.install()


def _scale_to(replicas: int, rate: float, cluster: Cluster, load: Load) -> None:
    """Send so many requests/s, and wait for the replicas that they need."""
    load.rate = rate
    cluster.wait(f"there are {replicas} replicas", lambda: _count_ready(cluster) == replicas)


def _stop_logins(cluster: Cluster, load: Load) -> None:
    began = time.time()
    cluster.kubectl("scale", "--namespace=randsvc", "deployment/randsvc-auth", "--replicas=0")
    cluster.wait("somebody is paged", lambda: "RandsvcServiceDown" in _find_pages(cluster, began))
    cluster.kubectl("scale", "--namespace=randsvc", "deployment/randsvc-auth", "--replicas=2")


def _count_ready(cluster: Cluster, node: str = "") -> int:
    """Count the ready pods of /random, without those that end, on one node or on all."""
    return sum(
        condition["type"] == "Ready" and condition["status"] == "True"
        for pod in _list_pods(cluster, "app.kubernetes.io/component=randsvc")
        if "deletionTimestamp" not in pod["metadata"]
        if not node or pod["spec"]["nodeName"] == node
        for condition in pod["status"].get("conditions", ())
    )


def _count_restarts(cluster: Cluster) -> int:
    return sum(
        container["restartCount"]
        for pod in _list_pods(cluster, "app.kubernetes.io/component=randsvc")
        for container in pod["status"].get("containerStatuses", ())
    )


TRIALS = (
    Trial(name="install", act=_install),
    Trial(name="upgrade", act=_upgrade),
    Trial(name="roll back", act=_roll_back),
    Trial(name="kill a pod's process", act=_kill, failed=100, trouble=10),
    Trial(name="drain a node", act=_drain),
    Trial(
        name="cut a node's link",
        act=_cut,
        failed=1000,
        trouble=40,
        alerts=frozenset({"RandsvcTargetsLost"}),
    ),
    Trial(name="scale from 2 to 4 replicas and back", act=_scale),
    Trial(
        name="stop all logins",
        act=_stop_logins,
        failed=10_000,
        trouble=180,
        alerts=frozenset({"RandsvcServiceDown", "RandsvcNotAnswering", "RandsvcNobodyCanLogIn"}),
        page="RandsvcServiceDown",
    ),
    Trial(
        name="scale by requests in progress (KEDA)",
        act=_scale_on_concurrency,
        # The trial changes the delay; it is the last, as the alert may come after its end.
        alerts=frozenset({"RandsvcDelayShifted"}),
    ),
)
"""What is done to the cluster, in this order, and what is promised."""

if __name__ == "__main__":
    sys.exit(main())
