"""The Helm chart renders what Kubernetes, the operator, randsvc and its rules expect.

Helm renders it for real; no cluster is needed.
"""

import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from randsvc import __version__
from randsvc.project import ROOT
from randsvc.settings import AuthSettings, Settings, unknown_variable
from randsvc.stack.promtool import run_promtool
from tests.support.alert_cases import list_cases, run_cases
from tests.support.chart import CHART, RefusedError, check, find, helm, render
from tests.support.service import running_service

pytestmark = pytest.mark.native

MONITORING = "--set=monitoring.enabled=true"
NOTIFIED = f"--values={ROOT}/tests/deploy/receivers.yaml"
PUSH = ("--set=telemetry.mode=push", "--set=telemetry.endpoint=http://otel-collector:4318")
VALUES = {
    "default": (),
    "monitoring": (MONITORING,),
    "monitoring of pushed metrics, demo": (
        MONITORING,
        *PUSH,
        "--set=monitoring.rules.timeScale=demo",
        "--set=monitoring.rules.anchored=true",
        "--set=monitoring.labels.release=prometheus",
        "--set=monitoring.rules.links.runbooks=https://wiki.example.com/runbooks",
    ),
    "KEDA": (
        "--set=autoscaling.mode=concurrency",
        "--set=autoscaling.prometheusUrl=http://prometheus-operated.monitoring.svc:9090",
    ),
    "fixed replicas, a secret and a registry of one's own": (
        "--set=autoscaling.mode=none",
        "--set=secrets.existing=own",
        "--set=imagePullSecrets[0].name=registry",
        "--set=networkPolicy.enabled=false",
        "--set=randsvc.env.RANDSVC_DELAY=constant(0.1)",
    ),
    "notifications": (MONITORING, NOTIFIED),
}
SERVICES: dict[str, type[Settings] | type[AuthSettings]] = {
    "randsvc": Settings,
    "auth": AuthSettings,
}


def container(objects: list[dict[str, Any]], service: str) -> dict[str, Any]:
    """Give the container of a service."""
    name = "randsvc" if service == "randsvc" else f"randsvc-{service}"
    (found,) = find(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def environment(objects: list[dict[str, Any]], service: str) -> dict[str, str]:
    """Give the variables of a service; those of a Secret are empty."""
    return {item["name"]: item.get("value", "") for item in container(objects, service)["env"]}


def receivers_of_the_page() -> dict[str, Any]:
    """Give the values that docs/beyond-one-machine.md shows for PagerDuty, Slack and mail."""
    page = (ROOT / "docs/beyond-one-machine.md").read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    values = yaml.safe_load(block)
    assert isinstance(values, dict)
    return values


def test_the_receivers_that_the_page_shows_are_valid(tmp_path: Path) -> None:
    (tmp_path / "receivers.yaml").write_text(yaml.safe_dump(receivers_of_the_page()))
    objects = render(f"--values={tmp_path}/receivers.yaml")
    config = find(objects, "AlertmanagerConfig", "randsvc")
    check(config)
    assert len(config["spec"]["receivers"]) == 4


@pytest.mark.parametrize("options", VALUES.values(), ids=VALUES.keys())
def test_every_object_is_valid(options: tuple[str, ...]) -> None:
    objects = render(*options)
    for item in objects:
        check(item)
    assert {"Deployment", "Service", "PodDisruptionBudget"} <= {item["kind"] for item in objects}


def test_an_unknown_field_is_found() -> None:
    (monitor,) = (item for item in render(MONITORING) if item["kind"] == "ServiceMonitor")
    monitor["spec"]["endpoints"][0]["intervall"] = "5s"
    with pytest.raises(Exception, match="intervall"):
        check(monitor)


def test_helm_finds_no_fault_with_the_chart() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), MONITORING)


def test_keda_does_not_refuse_the_mode_of_a_release_that_has_scaled_by_cpu() -> None:
    """While Helm changes the mode, both autoscalers exist."""
    autoscaler = find(render(), "HorizontalPodAutoscaler", "randsvc")
    assert autoscaler["metadata"]["annotations"] == {"validations.keda.sh/hpa-ownership": "false"}


def test_a_package_has_the_rules_and_dashboards(tmp_path: Path) -> None:
    helm("package", str(CHART), f"--destination={tmp_path}")
    with tarfile.open(tmp_path / f"randsvc-{__version__}.tgz") as package:
        names = set(package.getnames())
    files = ("rules/production/slo.yml", "dashboards/ml.json", "alertmanager.yml", "blackbox.yml")
    assert {f"randsvc/files/{name}" for name in files} <= names


@pytest.mark.parametrize("mode", [(), PUSH], ids=["pull", "push"])
@pytest.mark.parametrize("service", SERVICES)
def test_the_services_know_every_variable(service: str, mode: tuple[str, ...]) -> None:
    variables = environment(render(*mode), service)
    assert unknown_variable(variables) is None
    prefix = SERVICES[service].prefix
    # A management port that is not on loopback needs a token, or the service does not start.
    assert variables[f"{prefix}MANAGEMENT_HOST"] == "0.0.0.0"
    assert f"{prefix}MANAGEMENT_TOKEN" in variables


@pytest.mark.parametrize("mode", [(), PUSH], ids=["pull", "push"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_with_the_variables_of_its_pod(
    service: str, mode: tuple[str, ...]
) -> None:
    pod = container(render(*mode), service)
    variables = {item["name"]: item.get("value", "s" * 48) for item in pod["env"]}
    (command,) = pod["args"]
    with running_service(command=command, **variables) as running:
        running.wait_until_ready()
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            request = pod[probe]["httpGet"]
            assert request["port"] == "management"
            with urlopen(f"{running.management}{request['path']}") as response:
                assert response.status == 200
        if not mode:
            with urlopen(f"{running.management}/metrics") as response:
                assert b"http_server_concurrency_limit" in response.read()
        assert running.stop() == 0


@pytest.mark.parametrize("service", SERVICES)
def test_the_ports_and_the_grace_are_the_defaults_of_the_service(service: str) -> None:
    settings = SERVICES[service]()
    variables = environment(render(), service)
    assert variables[f"{settings.prefix}PORT"] == str(settings.port)
    assert variables[f"{settings.prefix}MANAGEMENT_PORT"] == str(settings.management_port)
    assert float(variables[f"{settings.prefix}GRACE"]) == settings.grace


@pytest.mark.parametrize("grace", [0, 8, 60])
def test_a_pod_is_not_killed_before_its_grace_is_over(grace: int) -> None:
    objects = render(f"--set=graceSeconds={grace}", "--set=preStopSeconds=3")
    for name in ("randsvc", "randsvc-auth"):
        pod = find(objects, "Deployment", name)["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] > 3 + grace + 1


def test_a_service_called_randsvc_puts_no_port_into_the_environment() -> None:
    for item in render(MONITORING):
        if item["kind"] == "Deployment":
            assert item["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_every_container_is_restricted() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted ."""
    pods = [
        item["spec"]["template"]["spec"]
        for item in render(MONITORING)
        if item["kind"] == "Deployment"
    ]
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for one in pod["containers"]:
            assert one["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }


def test_secrets_are_named_and_not_written_into_a_pod() -> None:
    objects = render("--set=secrets.existing=own")
    assert not [item for item in objects if item["kind"] == "Secret"]
    for service in SERVICES:
        secrets = {
            item["name"]: item["valueFrom"]["secretKeyRef"]["name"]
            for item in container(objects, service)["env"]
            if re.search("SECRET|TOKEN", item["name"])
        }
        assert len(secrets) >= 2
        assert set(secrets.values()) == {"own"}


def test_only_prometheus_reaches_the_management_ports() -> None:
    objects = render()
    for name in ("randsvc", "randsvc-auth"):
        public, management = find(objects, "NetworkPolicy", name)["spec"]["ingress"]
        assert public == {"ports": [{"port": "http"}]}
        assert management["ports"] == [{"port": "management"}]
        (peer,) = management["from"]
        assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}


def test_the_jobs_are_those_that_rules_and_dashboards_ask_for() -> None:
    objects = render(MONITORING)
    monitor = find(objects, "ServiceMonitor", "randsvc")["spec"]
    selected = [
        item["metadata"]["labels"][monitor["jobLabel"]]
        for item in objects
        if item["kind"] == "Service"
        and monitor["selector"]["matchLabels"].items() <= item["metadata"]["labels"].items()
    ]
    assert sorted(selected) == ["auth", "randsvc"]
    probes = [item["spec"] for item in objects if item["kind"] == "Probe"]
    assert {probe["jobName"] for probe in probes} == {"blackbox"}
    assert {probe["targets"]["staticConfig"]["labels"]["service"] for probe in probes} == {
        "randsvc",
        "auth",
    }
    modules = yaml.safe_load((ROOT / "observability/blackbox/blackbox.yml").read_text())["modules"]
    assert {probe["module"] for probe in probes} == modules.keys()


def test_pushed_metrics_are_not_pulled_as_well() -> None:
    (endpoint,) = find(render(MONITORING, *PUSH), "ServiceMonitor", "randsvc")["spec"]["endpoints"]
    assert endpoint["metricRelabelings"] == [{"action": "drop", "regex": ".*"}]
    assert endpoint["relabelings"][0]["replacement"] == "$1-management"
    (endpoint,) = find(render(MONITORING), "ServiceMonitor", "randsvc")["spec"]["endpoints"]
    assert "metricRelabelings" not in endpoint


def rule_groups(*options: str) -> dict[str, list[dict[str, Any]]]:
    """Give the rules that the chart installs, by group."""
    return {
        group["name"]: group["rules"]
        for item in render(MONITORING, *options)
        if item["kind"] == "PrometheusRule"
        for group in item["spec"]["groups"]
    }


def generated_groups(scale: str) -> dict[str, list[dict[str, Any]]]:
    """Give the rules that `make generate` writes, by group."""
    folder = ROOT / "observability/prometheus/rules"
    return {
        group["name"]: group["rules"]
        for path in (*folder.glob("*.yml"), *(folder / scale).glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
    }


@pytest.mark.parametrize("scale", ["production", "demo"])
def test_the_rules_are_those_that_are_generated(scale: str) -> None:
    options = ("--set=monitoring.rules.anchored=true", f"--set=monitoring.rules.timeScale={scale}")
    installed = rule_groups(*options, *PUSH)
    expected = generated_groups(scale)
    for rules in expected.values():
        for rule in rules:
            if "alert" in rule:
                rule["labels"]["namespace"] = "shop"
                for name, text in rule["annotations"].items():
                    rule["annotations"][name] = re.sub(r"\$externalLabels\.\w+_url", '""', text)
    assert installed == expected


@pytest.mark.parametrize("anchored", ["true", "false"])
def test_prometheus_accepts_the_rules(anchored: str, tmp_path: Path) -> None:
    option = f"--set=monitoring.rules.anchored={anchored}"
    for name, rules in rule_groups(option).items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"groups": [{"name": name, "rules": rules}]}))
        done = run_promtool("check", "rules", path)
        assert done.returncode == 0, done.stdout
        assert f"{len(rules)} rules found" in done.stdout


def label_as_the_operator_does(series: str) -> str:
    """Give a scraped series the labels that a ServiceMonitor adds to every target."""
    job = re.search(r'job="(randsvc|auth|prometheus|alertmanager)(-management)?"', series)
    if job is None or "service=" in series or ":" in series.partition("{")[0]:
        return series  # from a probe or a rule, or a decoy
    added = f'namespace="shop",pod="{job[1]}-0",service="{job[1]}-management",endpoint="management"'
    return f"{series[:-1]},{added}}}"


@pytest.mark.parametrize(
    "name", ["RandsvcServiceDown", "RandsvcNobodyCanLogIn", "RandsvcSheddingLoad"]
)
def test_an_alert_fires_with_the_labels_of_the_operator_and_without_anchored(name: str) -> None:
    rules = [rule for rule in rule_groups()["alerts"] if rule.get("alert") == name]
    cases = [
        replace(case, series={label_as_the_operator_does(s): v for s, v in case.series.items()})
        for case in list_cases()
        if case.alert == name
    ]
    assert any("endpoint=" in series for case in cases for series in case.series)
    done = run_cases(rules, cases)
    assert done.returncode == 0, done.stdout


def test_only_the_alerts_that_watch_a_collector_are_missing_without_one() -> None:
    pulled, pushed = rule_groups(), rule_groups(*PUSH)

    def alerts(groups: dict[str, list[dict[str, Any]]]) -> set[str]:
        return {rule["alert"] for rules in groups.values() for rule in rules if "alert" in rule}

    assert alerts(pushed) - alerts(pulled) == {"RandsvcCollectorDown", "RandsvcMeasurementsLost"}
    conditions = {rule.get("labels", {}).get("alertname") for rule in pulled["alerts"]}
    assert conditions - {None} <= alerts(pulled)
    # None of the others waits for a series that only a Collector has.
    absent = re.compile(r"absent\(up\{job=~?\"otel-collector")
    assert not [rule for rules in pulled.values() for rule in rules if absent.search(rule["expr"])]


def test_an_alert_can_be_left_out() -> None:
    left = rule_groups("--set=monitoring.rules.disabled={RandsvcTargetsLost}")["alerts"]
    assert "RandsvcTargetsLost" not in {rule.get("alert") for rule in left}
    assert "RandsvcServiceDown" in {rule.get("alert") for rule in left}


def test_what_an_operator_may_not_know_is_left_out() -> None:
    rules = [rule for rules in rule_groups().values() for rule in rules]
    texts = [rule["expr"] for rule in rules]
    assert not [text for text in texts if "anchored" in text]
    assert [text for text in texts if "increase(" in text]
    links = [rule["annotations"]["logs_url"] for rule in rules if "alert" in rule]
    assert not [link for link in links if "now" in link]
    assert all("&g0.range_input=" in link for link in links)


def test_replicas_spread_over_nodes_also_where_there_are_no_zones() -> None:
    # With several constraints, the scheduler spreads over no node that lacks the label of one.
    for name in ("randsvc", "randsvc-auth"):
        pod = find(render(), "Deployment", name)["spec"]["template"]["spec"]
        (constraint,) = pod["topologySpreadConstraints"]
        assert constraint["topologyKey"] == "kubernetes.io/hostname"
        (term,) = pod["affinity"]["podAntiAffinity"][
            "preferredDuringSchedulingIgnoredDuringExecution"
        ]
        assert term["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"


def test_the_links_of_alerts_have_the_addresses_of_the_values() -> None:
    option = "--set=monitoring.rules.links.runbooks=https://wiki.example.com/runbooks"
    for rule in rule_groups(option)["alerts"]:
        if "alert" in rule:
            link = rule["annotations"]["runbook_url"]
            assert '{{ with "https://wiki.example.com/runbooks" }}{{ . }}/' in link
            assert "$externalLabels" not in json.dumps(rule)


def test_an_alertmanager_config_has_every_route_and_inhibition() -> None:
    (config,) = (item["spec"] for item in render(NOTIFIED) if item["kind"] == "AlertmanagerConfig")
    source = yaml.safe_load((ROOT / "observability/alertmanager/alertmanager.yml").read_text())

    def to_snake(value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {"name", "matchType", "value"}:
            return f'{value["name"]}{value["matchType"]}"{value["value"]}"'
        if isinstance(value, dict):
            # The schema leaves nested routes open, and the operator would ignore what it misreads.
            assert not [key for key in value if "_" in key]
            assert all(isinstance(matcher, dict) for matcher in value.get("matchers", ()))
            return {
                re.sub("[A-Z]", lambda c: f"_{c[0].lower()}", k): to_snake(v)
                for k, v in value.items()
            }
        return [to_snake(item) for item in value] if isinstance(value, list) else value

    assert to_snake(config["route"]) == source["route"]
    assert [
        {key.replace("_match", "_matchers"): value for key, value in to_snake(rule).items()}
        for rule in config["inhibitRules"]
    ] == source["inhibit_rules"]
    names = [receiver["name"] for receiver in config["receivers"]]
    assert names == [receiver["name"] for receiver in source["receivers"]]


def test_the_dashboards_are_those_that_are_generated() -> None:
    shown = {
        name: json.loads(text)
        for item in render(MONITORING)
        if item["kind"] == "ConfigMap" and item["metadata"]["labels"].get("grafana_dashboard")
        for name, text in item["data"].items()
    }
    folder = ROOT / "observability/grafana/dashboards"
    assert shown == {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_the_versions_are_those_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    blackbox = find(render(MONITORING), "Deployment", "randsvc-blackbox")
    image = blackbox["spec"]["template"]["spec"]["containers"][0]["image"]
    assert f"BLACKBOX_VERSION={image.rpartition(':')[2]}\n" in (ROOT / ".env").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--set=telemetry.mode=pushed",), "telemetry/mode"),
        (("--set=telemetry.mode=push",), "telemetry.endpoint is empty: expected the OTLP/HTTP"),
        (
            ("--set=autoscaling.mode=concurrency",),
            "autoscaling.prometheusUrl is empty: expected the URL of a Prometheus",
        ),
        (("--set=randsvc.replica=3",), "replica"),
        (("--set=monitoring.interval=15",), "monitoring/interval"),
        (("--set=randsvc.env.DELAY=1",), "DELAY"),
        (("--set=alertmanagerConfig.enabled=true",), "receivers.pager is empty"),
        (('--set=monitoring.rules.links.grafana=https://a"b',), "links/grafana"),
        (("--set=autoscaling.mode=memory",), "autoscaling/mode"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(options: tuple[str, ...], said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        render(*options)
    assert said in str(refused.value).replace(".", "/") or said in str(refused.value)
