"""Series of failing services for promtool, and when which alert must fire.

Each case tests one alert with the windows of production: it fires, it does not fire just below each
of its thresholds, and it clears. All other series are healthy, except decoys: other jobs and routes
with extreme values. A rule that lacks a matcher selects them.
"""

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import yaml

from benchmarks.month.replay import find_needed
from randsvc.generate import make_alert_files
from randsvc.objectives import SLOS, Slo
from randsvc.rules.golden_signals import SHARE_OF_LIMIT, SILENT
from randsvc.rules.service_alerts import PATHS
from randsvc.rules.time_scale import PRODUCTION, Burn
from randsvc.stack.promtool import RULE_FILE, run_rule_tests
from randsvc.times import parse_duration
from tests.support import native_programs

Phases = Sequence[tuple[int, float]]
"""Number of steps, with the value of the gauge or the increase of the counter per step."""

COUNT = "http_server_request_duration_seconds_count"
NONE = float("nan")
BUCKET = "http_server_request_duration_seconds_bucket"
# Upper bounds of buckets, and which kinds of request are in each one first.
BOUNDS = {
    "0.1": ("fast", "refused"),
    "0.25": (),
    "0.5": ("dull",),
    "1": ("slow", "error"),
    "+Inf": (),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case: ``series``, and by step the services for which the alert fires."""

    name: str
    alert: str
    level: str
    step: int
    """Seconds per step."""
    steps: int
    series: Mapping[str, str]
    on: Mapping[int, Sequence[str]]

    def test(self) -> dict[str, Any]:
        """Return the test in the format of promtool."""
        where = f'alertname="{self.alert}",level="{self.level}",alertstate="firing"'
        return {
            "name": self.name,
            "interval": f"{self.step}s",
            "input_series": [{"series": s, "values": v} for s, v in self.series.items()],
            "promql_expr_test": [
                {
                    "expr": f"count by (service) (ALERTS{{{where}}})",
                    "eval_time": f"{at * self.step}s",
                    "exp_samples": [
                        {"labels": f'{{service="{service}"}}', "value": 1} for service in services
                    ],
                }
                for at, services in self.on.items()
            ],
        }


def gauge(phases: Phases) -> str:
    """Return the values of a gauge; NONE is a gap, which starts with a staleness marker.

    >>> gauge([(3, 1), (4, NONE)])
    '1x2 stale _x3'
    """
    return " ".join(
        f"{'stale _' if value != value else format(value, 'g')}x{n - 1}" for n, value in phases if n
    )


def counter(phases: Phases) -> str:
    """Return the values of a counter from 0.

    Increases are rounded to exact binary numbers. Otherwise rounding errors of promtool would look
    like counter resets.

    >>> counter([(3, 10), (2, 0)])
    '0 10.0+10.0x2 30.0+0.0x1'
    """
    parts, value = ["0"], 0.0
    for n, gain in phases:
        if n:
            exact = round(gain * 2**20) / 2**20
            parts.append(f"{value + exact!r}+{exact!r}x{n - 1}")
            value += n * exact
    return " ".join(parts)


def requests(
    job: str, route: str, phases: Mapping[str, Phases], status: int = 500
) -> dict[str, str]:
    """Return requests by kind: ``fast`` (up to 0.1 s), ``dull`` (0.25 to 0.5), ``slow`` (0.5 to 1).

    ``error`` (as long as ``slow``) and ``refused`` (as long as ``fast``) have ``status``.
    """
    labels = f'job="{job}",http_route="{route}"'
    found = {}
    for answered, kinds in ((200, ("fast", "dull", "slow")), (status, ("error", "refused"))):
        all_labels = f'{labels},http_response_status_code="{answered}"'
        if answered >= 500:
            all_labels += f',error_type="{answered}"'
        there = [kind for kind in kinds if kind in phases]
        if not there:
            continue
        below: list[str] = []
        for bound, first in BOUNDS.items():
            below += [kind for kind in first if kind in there]
            values = counter(_sum(phases[kind] for kind in below) or [(_steps(phases), 0)])
            found[f'{BUCKET}{{{all_labels},le="{bound}"}}'] = values
        found[f"{COUNT}{{{all_labels}}}"] = values
    return found


def _sum(parts: Iterable[Phases]) -> Phases:
    """Add phases step by step, and merge equal steps."""
    steps = [[gain for n, gain in phases for _ in range(n)] for phases in parts]
    if not steps:
        return []
    runs: list[tuple[int, float]] = []
    for gains in zip(*steps, strict=True):
        total = sum(gains)
        if runs and runs[-1][1] == total:
            runs[-1] = (runs[-1][0] + 1, total)
        else:
            runs.append((1, total))
    return runs


def _steps(phases: Mapping[str, Phases]) -> int:
    return sum(n for n, _ in next(iter(phases.values())))


UP = {
    "otel-collector": 'up{job="otel-collector",instance="otel-collector:8889"}',
    "telemetry": 'up{job="otel-collector-telemetry",instance="otel-collector:8888"}',
    "randsvc": 'up{job="randsvc-management",instance="randsvc:9464"}',
    "auth": 'up{job="auth-management",instance="auth:9465"}',
    "prometheus": 'up{job="prometheus",instance="prometheus:9090"}',
    "alertmanager": 'up{job="alertmanager",instance="alertmanager:9093"}',
    "random probe": 'up{job="blackbox",instance="http://randsvc:8080/random"}',
    "login probe": 'up{job="blackbox",instance="http://auth:8081/login"}',
}
PROBE = {
    service: f'probe_success{{job="blackbox",service="{service}"}}'
    for service in ("randsvc", "auth")
}
LIMIT = {
    service: f'http_server_concurrency_limit{{job="{service}",instance="a"}}'
    for service in ("randsvc", "auth")
}
STARTED = 'process_start_time_seconds{job="prometheus"}'
FULL = 'job:http_server_active_requests_per_limit:ratio{job="randsvc"}'
WRITES = 'prometheus_tsdb_wal_writes_failed_total{job="prometheus"}'
FAILURES = {
    "prometheus_rule_evaluation_failures_total": "prometheus",
    "prometheus_notifications_errors_total": "prometheus",
    "prometheus_notifications_dropped_total": "prometheus",
    "alertmanager_notifications_failed_total": "alertmanager",
    "otelcol_receiver_refused_metric_points_total": "otel-collector-telemetry",
    "otelcol_receiver_failed_metric_points_total": "otel-collector-telemetry",
    "otelcol_exporter_send_failed_metric_points_total": "otel-collector-telemetry",
    "otelcol_exporter_enqueue_failed_metric_points_total": "otel-collector-telemetry",
    "telemetry_logs_dropped_total": "randsvc",
}


def failures(metric: str) -> str:
    """Return the series of a metric that counts failures."""
    return f'{metric}{{job="{FAILURES[metric]}"}}'


def predictions(source: str, job: str = "randsvc") -> str:
    """Return the series of the predictions of a source."""
    return f'randsvc_predictions_total{{job="{job}",randsvc_source="{source}"}}'


def ticks(
    phases: Mapping[str, Phases], job: str = "randsvc", instance: str = "a"
) -> dict[str, str]:
    """Return the lag of the event loop by kind, like ``requests``."""
    name = "asyncio_event_loop_lag_seconds_bucket"
    found, below = {}, []
    bounds = {"0.001": "fast", "0.1": "", "0.25": "late", "0.5": "blocked", "+Inf": ""}
    for bound, kind in bounds.items():
        below += [phases[kind]] if kind in phases else []
        series = f'{name}{{job="{job}",instance="{instance}",le="{bound}"}}'
        found[series] = counter(_sum(below) or [(_steps(phases), 0)])
    return found


def make_series(steps: int, changes: Mapping[str, str]) -> dict[str, str]:
    """Return healthy series and decoys for a number of steps, with ``changes``."""
    alive = gauge([(steps + 1, 1)])
    healthy = {
        **dict.fromkeys((*UP.values(), *PROBE.values(), *LIMIT.values()), alive),
        FULL: gauge([(steps + 1, 0.1)]),
        **{failures(metric): gauge([(steps + 1, 7)]) for metric in FAILURES},
        WRITES: gauge([(steps + 1, 0)]),
        predictions("model"): counter([(steps, 600)]),
        predictions("fallback"): counter([(steps, 0)]),
        **ticks({"fast": [(steps, 600)]}),
        **requests("randsvc", "/random", {"fast": [(steps, 600)]}),
        **requests("auth", "/login", {"fast": [(steps, 60)]}),
    }
    decoys = {
        **bad_requests(steps),
        **ticks({"blocked": [(steps, 600)]}, job="another"),
        **{f'{metric}{{job="another"}}': counter([(steps, 7)]) for metric in FAILURES},
        WRITES.replace('prometheus"', 'another"'): alive,
        predictions("fallback", "another"): counter([(steps, 100_000)]),
        FULL.replace("randsvc", "another"): alive,
        'http_server_concurrency_limit{job="another"}': alive,
        # Has always just started.
        STARTED.replace("prometheus", "another"): f"0+86400x{steps}",
        **{series.replace("blackbox", "another"): alive for series in PROBE.values()},
    }
    return healthy | decoys | dict(changes)


def bad_requests(steps: int) -> dict[str, str]:
    """Return requests of other routes and another job: most fail, the others are slow."""
    bad = {kind: [(steps, 40_000)] for kind in ("fast", "dull", "slow")}
    bad["error"] = [(steps, 1_000_000)]
    return {
        **requests("randsvc", "/other", bad, status=503),
        **requests("auth", "/other", bad),
        **requests("another", "/random", bad, status=503),
        **requests("another", "/login", bad),
    }


def burn_cases(slo: Slo, burn: Burn) -> list[Case]:
    """Return the cases of a burn rate; a step is a sixtieth of its long window.

    Until two long windows ago the traffic was ten times as high, with errors at the start. A rule
    with a longer window would therefore see a lower error rate.
    """
    long, short = 60, round(60 * parse_duration(burn.short) / parse_duration(burn.long))
    threshold = burn.factor * slo.budget
    bad_kind = "error" if slo.within is None else "slow" if slo.within == 0.5 else "dull"

    step = parse_duration(burn.long) / long
    hold = round(parse_duration(PRODUCTION.hold) / step)
    # Until the traffic of before has left the long window, and what must hold has held.
    wait = parse_duration(burn.wait) if burn.wait else 0
    lasting = long + ceil(wait / step) + 1

    def case(name: str, share: float, late_share: float, late: int, bad: float) -> Case:
        """Make a share of the requests bad, another share in the ``late`` last steps."""
        total = bad / (share * (long - late) + late_share * late)
        shares = [(20, 0.01), (2 * long - 20, 0.0), (lasting - late, share), (late, late_share)]
        shares.append((short + hold + 2, 0.0))
        totals = [10 * total, 10 * total, total, total, total]
        phases = {
            bad_kind: [(n, s * t) for (n, s), t in zip(shares, totals, strict=True)],
            "fast": [(n, (1 - s) * t) for (n, s), t in zip(shares, totals, strict=True)],
        }
        if slo.within is not None:
            # As many fail, half of them late, which is not to count.
            failed = [(n, t / 2) for (n, _), t in zip(shares, totals, strict=True)]
            phases |= {"error": failed, "refused": failed}
        steps = sum(n for n, _ in shares)
        fires = [slo.service] if name == "fires and clears" else []
        return Case(
            name=f"{slo.name} {burn.factor:g}x {burn.long} {name}",
            alert=slo.alert,
            level=burn.level,
            step=round(step),
            steps=steps,
            series=bad_requests(steps) | requests(slo.service, slo.route, phases),
            # `after` steps later it is over.
            on={2 * long: [], 2 * long + lasting: fires, steps: []},
        )

    above, below, far = 1.15 * threshold, 0.9 * threshold, min(1.0, 2.2 * threshold)
    early = (below * long - far * short) / (long - short)
    # At its factor a burn takes ten bad events; at 1.15 of it, nine.
    few, many = 10, 30
    return [
        case("fires and clears", above, above, short, 1.5 * few),
        case("not in the long window", early, far, short, many),
        # It has ended when it is no longer held either.
        case("not in the short window", far, below, short + hold + 2, many),
        case("too few bad events", above, above, short, 0.8 * few),
    ]


def make_case(
    name: str,
    alert: str,
    level: str,
    on: Mapping[int, Sequence[str]],
    changes: Mapping[str, str],
    *,
    step: int = 15,
) -> Case:
    """Return a case that ends with the last checked step."""
    steps = max(on)
    return Case(
        name=f"{alert} {name}",
        alert=alert,
        level=level,
        step=step,
        steps=steps,
        series=make_series(steps, changes),
        on=on,
    )


def _settling_case(
    alert: str, level: str, service: str, changes: Mapping[str, str], step: int, wait: int
) -> Case:
    """Return the case of trouble that begins with Prometheus' own start, at step 20.

    Two minutes later the condition counts, and then must hold for ``wait`` seconds.
    """
    fires = 20 + (120 + wait) // step
    return make_case(
        f"{service} as Prometheus has just started",
        alert,
        level,
        {fires - 1: [], fires: [service]},
        {STARTED: gauge([(60, 20 * step)]), **changes},
        step=step,
    )


def _outage(before: int, for_: int, after: int, value: float = 0) -> str:
    return gauge([(before, 1), (for_, value), (after, 1)])


def _unseen_cases(service: str) -> list[Case]:
    gone = gauge([(20, 1), (60, NONE)])
    second = UP[service].replace(":9", "-2:9")
    down, silent, mute = "RandsvcServiceDown", "RandsvcNotAnswering", "RandsvcNotReporting"
    on = [service]

    def failing(share: float) -> dict[str, str]:
        fast = [(20, 150), (40, 150 * (1 - share))]
        return requests(
            service, PATHS[service], {"fast": fast, "error": [(20, 0), (40, 150 * share)]}
        )

    return [
        # Down from 300 s to 660 s; it takes 1 min, and holds for 5.
        make_case(
            f"{service} fires after a minute and clears",
            down,
            "critical",
            {19: [], 23: [], 24: on, 62: on, 65: []},
            {UP[service]: _outage(20, 24, 40)},
        ),
        make_case(f"{service} is no target", down, "critical", {24: on}, {UP[service]: gone}),
        make_case(
            f"{service} has another process", down, "critical", {40: []},
            {UP[service]: _outage(20, 40, 0), second: gauge([(60, 1)])},
        ),
        make_case(
            f"{service} is pulled", down, "critical", {40: []},
            {UP[service]: gauge([(60, NONE)]), f'up{{job="{service}"}}': gauge([(60, 1)])},
        ),
        make_case(
            f"{service} fires after 105 s and clears",
            silent,
            "critical",
            {19: [], 25: [], 26: on, 62: on, 65: []},
            {PROBE[service]: _outage(20, 24, 40)},
        ),
        make_case(
            f"{service} fails half of the time, and each probe by chance", silent, "critical",
            {40: [], 60: []},
            {PROBE[service]: _outage(20, 40, 0), **failing(0.5)},
        ),
        make_case(
            f"{service} fails a tenth of the time, and each probe does", silent, "critical",
            {25: [], 26: on},
            {PROBE[service]: _outage(20, 40, 0), **failing(0.1)},
        ),
        make_case(
            f"{service} is probed for the first time", silent, "critical", {26: [], 27: on},
            {PROBE[service]: gauge([(20, NONE), (20, 0)])},
        ),
        make_case(
            f"{service} answers a probe now and then", silent, "critical", {48: []},
            {PROBE[service]: " ".join("0 0 0 1" for _ in range(20))},
        ),
        make_case(
            f"{service} fires after 2 min and clears",
            mute,
            "critical",
            {19: [], 27: [], 28: on, 62: on, 65: []},
            {LIMIT[service]: gauge([(20, 1), (24, NONE), (40, 1)])},
        ),
        make_case(
            f"{service} is silent, while the Collector shows its last values", mute, "critical",
            {19: [], 27: [], 28: on},
            {f"{SILENT}{{{LIMIT[service].partition('{')[2]}": gauge([(20, NONE), (24, 1)])},
        ),
        make_case(
            f"{service} as the Collector is down", mute, "critical", {60: []},
            {LIMIT[service]: "stale", UP["otel-collector"]: gauge([(80, 0)])},
        ),
        make_case(
            f"{service} as it is down", mute, "critical", {60: []},
            {LIMIT[service]: "stale", UP[service]: gauge([(80, 0)])},
        ),
        _settling_case(down, "critical", service, {UP[service]: _outage(20, 40, 0)}, 15, 60),
        _settling_case(silent, "critical", service, {PROBE[service]: _outage(20, 40, 0)}, 15, 30),
        _settling_case(mute, "critical", service, {LIMIT[service]: gone}, 15, 120),
    ]  # fmt: skip


def _login_cases() -> list[Case]:
    name, level, on = "RandsvcNobodyCanLogIn", "critical", ["auth"]

    def logins(good: Phases, bad: Phases, status: int = 503) -> dict[str, str]:
        return requests("auth", "/login", {"fast": good, "error": bad}, status)

    # In 15 s; 2.5 of them are 10 a minute.
    return [
        make_case(
            "fires and clears", name, level, {19: [], 24: on, 40: on, 63: []},
            logins([(20, 3), (20, 0), (30, 3)], [(20, 0), (20, 3), (30, 0)]),
        ),
        make_case(
            "too few try", name, level, {40: []},
            logins([(20, 3), (20, 0)], [(20, 0), (20, 2.2)]),
        ),
        make_case(
            "somebody can", name, level, {40: []},
            logins([(20, 3), (20, 0.3)], [(20, 0), (20, 30)]),
        ),
        make_case(
            "all passwords are wrong", name, level, {40: []},
            logins([(20, 3), (20, 0)], [(20, 0), (20, 30)], status=401),
        ),
    ]  # fmt: skip


def _filling_cases(service: str) -> list[Case]:
    """Return the cases of a limit: in steps of a minute, a share that rises to 60%."""
    job = "prometheus" if service == "monitoring" else service
    share = f'{SHARE_OF_LIMIT}{{job="{job}",instance="a",resource="memory"}}'
    decoy = share.replace(job, "another")
    name = "RandsvcFillingUp"

    def case(what: str, values: str, on: Mapping[int, Sequence[str]]) -> Case:
        series = {share: values, decoy: "0.3+0.005x140"}
        return make_case(f"{service} {what}", name, "major", on, series, step=60)

    # By 30% an hour: above a half after 40 minutes. It must hold for 5.
    rises = "0.301+0.005x60 0.601+0x80"
    return [
        case("fires and clears", rises, {44: [], 45: [service], 60: [service], 140: []}),
        case("rises slowly", "0.6+0.0005x140", {60: [], 140: []}),
    ]


def _share_cases(alert: str, bad: str, share: float, changes: Any) -> list[Case]:
    """Return the cases of a share over 5 min that must hold for 5 min, of 100 events.

    ``changes`` makes the series from good and bad events.
    """

    def case(name: str, shown: float, each: float, on: Mapping[int, Sequence[str]]) -> Case:
        before, during, after = 20, 20, 40
        gains = [(before, 0.0), (during, shown * each), (after, 0.0)]
        good = [(before, each), (during, (1 - shown) * each), (after, each)]
        return make_case(f"{bad} {name}", alert, "major", on, changes(good, gains), step=60)

    on = ["randsvc"]
    return [
        # 30 a minute are 150 in 5 min. It takes 5 min, then holds for 5 after the window.
        case("fires and clears", share * 1.5, 30, {20: [], 25: [], 30: on, 40: on, 52: []}),
        case("just below", share * 0.8, 30, {40: []}),
        case("too few", 1, 16, {40: []}),
    ]


def _service_cases() -> list[Case]:
    on = ["randsvc"]
    tail = "RandsvcStrangeLoop"

    def model(good: Phases, bad: Phases) -> dict[str, str]:
        return {predictions("model"): counter(good), predictions("fallback"): counter(bad)}

    def shed(good: Phases, bad: Phases) -> dict[str, str]:
        return requests("randsvc", "/random", {"fast": good, "error": bad}, status=503)

    def full(value: float) -> dict[str, str]:
        return {FULL: gauge([(20, 0.1), (20, value), (40, 0.1)])}

    def lag(kind: str) -> dict[str, str]:
        late = [(20, 0.0), (20, 12.0), (40, 0.0)]
        return ticks({"fast": [(80, 588)], kind: late})

    def tailed(kind: str, each: float) -> dict[str, str]:
        """Make 1% of the successful requests of a kind, next to slow failures and other traffic."""
        rare = [(70, 0.0), (60, 0.01 * each), (90, 0.0)]
        fast = [(220, 0.99 * each)]
        return requests(
            "randsvc", "/random", {"fast": fast, kind: rare, "error": [(220, 3 * each)]}
        )

    return [
        *_share_cases("RandsvcModelReplaced", "predictions", 0.05, model),
        *_share_cases("RandsvcSheddingLoad", "requests", 0.01, shed),
        make_case(
            "fires and clears", "RandsvcNearItsLimit", "major", {20: [], 28: [], 36: on, 52: []},
            full(0.9), step=60,
        ),
        make_case("just below", "RandsvcNearItsLimit", "major", {40: []}, full(0.75), step=60),
        make_case(
            "fires and clears", "RandsvcEventLoopBlocked", "major", {20: [], 32: on, 52: []},
            lag("blocked"), step=60,
        ),
        make_case("just below", "RandsvcEventLoopBlocked", "major", {40: []}, lag("late"), step=60),
        # 25 a minute are 1500 an hour.
        make_case(
            "fires and clears", tail, "minor", {70: [], 128: on, 200: []},
            tailed("slow", 25), step=60,
        ),
        make_case("just below", tail, "minor", {128: []}, tailed("dull", 25), step=60),
        make_case("too few", tail, "minor", {128: []}, tailed("slow", 14), step=60),
    ]  # fmt: skip


def _monitoring_cases() -> list[Case]:
    on = ["monitoring"]
    collector, lost = "RandsvcCollectorDown", "RandsvcTargetsLost"
    outage = _outage(20, 10, 30)

    def failing(
        alert: str, metric: str, at: Mapping[int, Sequence[str]], n: int, level: str = "major"
    ) -> Case:
        values = counter([(20, 0), (n, 1), (40, 0)])
        return make_case(f"{metric} fires", alert, level, at, {failures(metric): values}, step=60)

    waiting: dict[int, Sequence[str]] = {20: [], 25: [], 27: on, 34: on, 46: []}
    cases = [
        *(
            make_case(
                f"{who} fires after 5 min and clears", collector, "major",
                {20: [], 24: [], 25: on, 34: on, 36: []}, {UP[who]: outage}, step=60,
            )
            for who in ("otel-collector", "telemetry")
        ),
        make_case(
            "is no target", collector, "major", {40: on},
            {UP["otel-collector"]: "stale"}, step=60,
        ),
        make_case(
            "as another target is down", collector, "major", {28: []},
            {UP["alertmanager"]: outage}, step=60,
        ),
        make_case(
            "one of two fires after 5 min and clears", lost, "major",
            {20: [], 24: [], 25: on, 34: on, 36: []}, {UP["login probe"]: outage}, step=60,
        ),
        make_case("all fires", lost, "major", {28: on}, {UP["alertmanager"]: outage}, step=60),
        *(
            make_case(f"not as {who} is down", lost, "major", {28: []}, {UP[who]: outage}, step=60)
            for who in ("otel-collector", "randsvc", "auth")
        ),
        failing(
            "RandsvcRulesFailing", "prometheus_rule_evaluation_failures_total",
            {20: [], 22: on, 32: []}, 1,
        ),
        make_case(
            "fires after one failed write, until a restart", "RandsvcStorageFailing", "major",
            {20: [], 21: on, 50: on, 62: []},
            {WRITES: gauge([(21, 0), (30, 1), (20, 0)])}, step=60,
        ),
        *(
            failing("RandsvcMeasurementsLost", metric, waiting, 10)
            for metric in FAILURES
            if metric.startswith("otelcol")
        ),
        failing("RandsvcLogsDropped", "telemetry_logs_dropped_total", waiting, 10, "minor"),
        *(
            failing("RandsvcNotificationsFailing", metric, waiting, 10)
            for metric in FAILURES
            if "notifications" in metric
        ),
    ]  # fmt: skip
    refused = {failures("prometheus_notifications_errors_total"): counter([(20, 0), (20, 10)])}
    cases += [
        _settling_case(alert, "major", "monitoring", changes, 60, 300)
        for alert, changes in (
            (collector, {UP["otel-collector"]: _outage(20, 40, 0)}),
            (lost, {UP["alertmanager"]: _outage(20, 40, 0)}),
            ("RandsvcNotificationsFailing", refused),
        )
    ]
    watchdog = make_case("always fires", "RandsvcWatchdog", "none", {0: on, 20: on}, {})
    return [*cases, watchdog]


def list_cases() -> list[Case]:
    """Return every case."""
    burns = [c for slo in SLOS for burn in PRODUCTION.burns for c in burn_cases(slo, burn)]
    unseen = [c for service in ("randsvc", "auth") for c in _unseen_cases(service)]
    filling = [c for service in ("randsvc", "auth", "monitoring") for c in _filling_cases(service)]
    return [*burns, *unseen, *filling, *_login_cases(), *_service_cases(), *_monitoring_cases()]


def list_rules(name: str) -> list[dict[str, Any]]:
    """Return the production rules of an alert, with the recording rules that it reads."""
    found: list[dict[str, Any]] = [
        rule
        for text in make_alert_files(PRODUCTION).values()
        for rule in yaml.safe_load(text)["groups"][0]["rules"]
    ]
    own = [rule for rule in found if rule.get("alert") == name]
    slos = {slo.name for slo in SLOS if slo.alert == name}
    return [rule for rule in found if rule.get("labels", {}).get("slo") in slos] + own


def run_cases(
    rules: list[dict[str, Any]], cases: Sequence[Case]
) -> "subprocess.CompletedProcess[str]":
    """Run the cases of one alert in promtool, which evaluates at the times of the samples."""
    for step, level in sorted({(case.step, case.level) for case in cases}):
        some = [case.test() for case in cases if (case.step, case.level) == (step, level)]
        done = run_tests(rules, level, step, some)
        if done.returncode:
            break
    return done


def run_tests(
    rules: list[dict[str, Any]], level: str, step: int, tests: list[dict[str, Any]]
) -> "subprocess.CompletedProcess[str]":
    """Run tests of one level, with the rules of that level and the rules that these read.

    All rules of the alert would take three times as long.
    """
    native_programs.folder()
    records = [rule for rule in rules if "record" in rule]
    own = [rule for rule in rules if rule["labels"].get("level") == level]
    groups = [{"name": "checked", "rules": [*find_needed(own, records), *own]}]
    file = {"rule_files": [RULE_FILE], "evaluation_interval": f"{step}s", "tests": tests}
    return run_rule_tests(file, {"groups": groups})
