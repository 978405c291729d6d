"""What the standard variables promise, seen from Prometheus."""

import json
import time
from itertools import pairwise
from pathlib import Path
from urllib.request import Request, urlopen

from randsvc.stack.addresses import AddressBook
from randsvc.stack.programs import Program, Service, make_randsvc
from randsvc.stack.run import run_stack
from randsvc.stack.supervisor import Stack, wait_until

COUNT = "http_server_request_duration_seconds_count"


def pushing(**variables: str) -> Service:
    """The service, pushing every half second."""

    def program(book: AddressBook) -> Program:
        env = {
            "RANDSVC_DELAY": "constant(value=0)",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        }
        grpc = "otel-collector:4317"
        env |= {name: value.replace(grpc, book[grpc]) for name, value in variables.items()}
        return make_randsvc(book, env=env)

    return program


def ask(stack: Stack, **headers: str) -> None:
    request = Request(stack.url("randsvc:8080", "/random"), headers=headers)
    with urlopen(request) as response:
        assert response.status == 200


def test_grpc_delivers_the_same_as_http(programs: Path) -> None:
    service = pushing(
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://otel-collector:4317",
    )
    with run_stack(services=[service], free_ports=True, interval="500ms") as stack:
        for _ in range(3):
            ask(stack)
        assert wait_until(lambda: stack.number(f'{COUNT}{{job="randsvc"}}'), within=15) == 3


def test_the_name_and_the_instance_of_the_service_are_job_and_instance(programs: Path) -> None:
    service = pushing(
        OTEL_SERVICE_NAME="checkout",
        OTEL_RESOURCE_ATTRIBUTES="service.instance.id=first,deployment.environment.name=test",
    )
    with run_stack(services=[service], free_ports=True, interval="500ms") as stack:
        ask(stack)
        (series,) = wait_until(lambda: stack.query(COUNT), within=15)
        assert (series.labels["job"], series.labels["instance"]) == ("checkout", "first")
        (info,) = stack.query('target_info{job="checkout"}')
        assert info.labels["deployment_environment_name"] == "test"


def test_the_trace_of_a_request_is_an_exemplar_of_its_duration(programs: Path) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with run_stack(
        services=[pushing(OTEL_TRACES_EXPORTER="otlp")], free_ports=True, interval="500ms"
    ) as stack:
        ask(stack, traceparent=f"00-{trace_id}-b7ad6b7169203331-01")

        def exemplars() -> list[str]:
            found = stack.prometheus.get(
                "query_exemplars",
                query="http_server_request_duration_seconds_bucket",
                start=str(time.time() - 60),
                end=str(time.time() + 60),
            )
            return [
                exemplar["labels"]["trace_id"]
                for series in found
                for exemplar in series["exemplars"]
            ]

        assert set(wait_until(exemplars, within=15)) == {trace_id}


def test_a_restarted_collector_gets_the_counts_of_its_downtime(programs: Path) -> None:
    service = pushing(OTEL_EXPORTER_OTLP_TIMEOUT="1")
    with run_stack(services=[service], free_ports=True, interval="500ms") as stack:
        ask(stack)
        stack.kill("otel-collector")
        for _ in range(6):
            ask(stack)
        stack.start("otel-collector")
        wait_until(lambda: stack.number(f'{COUNT}{{job="randsvc"}}') == 7, within=20)
        log = [json.loads(line) for line in stack.log("randsvc").splitlines()]
        told = [str(event["message"]) for event in log if "deliver" in str(event["message"])]
        # Once for each outage: a slow start of the Collector on a busy machine is one more.
        for earlier, later in pairwise(told):
            assert ("cannot" in earlier) != ("cannot" in later), told
