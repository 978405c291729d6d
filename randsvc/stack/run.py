"""Runs the whole chain without containers: service, Collector, Prometheus, Alertmanager."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from randsvc.rules.time_scale import DEMO, TimeScale
from randsvc.stack.addresses import WELL_KNOWN_ADDRESSES, find_free_addresses
from randsvc.stack.build import build_programs, make_jaeger_module
from randsvc.stack.programs import (
    Service,
    make_alertmanager,
    make_collector,
    make_inbox,
    make_jaeger,
    make_prometheus,
    make_randsvc,
    make_victorialogs,
)
from randsvc.stack.supervisor import Stack, run_programs

__all__ = ("run_stack",)

# A service of the stack may have others.
_TRACED = {
    "OTEL_TRACES_EXPORTER": "otlp",
    # As docker-compose.yml has it, and TRACED_SHARE of .env.
    "OTEL_TRACES_SAMPLER": "traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.05",
}


@contextmanager
def run_stack(
    *,
    services: Sequence[Service] = (make_randsvc,),
    free_ports: bool = False,
    interval: str | None = None,
    pull: bool = False,
    scale: TimeScale = DEMO,
    folder: Path | None = None,
    logs: bool = False,
    traces: bool = False,
) -> Iterator[Stack]:
    """Run the chain in a ``with`` block, which begins when every program is ready.

    ``interval`` replaces the scrape and evaluation interval (a Prometheus duration). With ``pull``
    Prometheus keeps what it scrapes from the service itself, as prometheus.yml describes. ``scale``
    is the time scale of the rules. With ``logs`` the services send their logs to VictoriaLogs,
    with ``traces`` the traces of the requests that they sample to Jaeger.
    Prometheus probes nothing unless the blackbox exporter is among
    ``services``. ``folder`` receives configurations, data and logs; without one they are in a
    temporary folder. Raises ``StackError`` or ``BuildError``. The thread that enters the block must
    live until its end, as the kernel ends the programs with that thread.
    """
    with ExitStack() as cleanup:
        programs = build_programs()
        folder = folder or Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        book = find_free_addresses() if free_ports else WELL_KNOWN_ADDRESSES
        chosen = [service(book) for service in services]
        sent: dict[str, str] = {}
        links = ""
        if logs:
            sent |= {"OTEL_LOGS_EXPORTER": "otlp"}
            links += f",Logs=http://{book['victorialogs:9428']}/select/vmui"
        if traces:
            sent |= _TRACED
            links += f",Jaeger=http://{book['jaeger:16686']}"
        chosen = [replace(program, env=sent | _append(links, program.env)) for program in chosen]
        probed = any("blackbox-exporter:9115" in program.listens for program in chosen)
        # Prometheus starts last, so that it finds every target, and stops first.
        prometheus = make_prometheus(
            programs,
            book,
            folder,
            interval=interval,
            pull=pull,
            scale=scale,
            logs=logs,
            without=() if probed else ("blackbox",),
        )
        chain = (
            make_inbox(book),
            make_alertmanager(programs, book, folder),
            *((make_victorialogs(programs, book, folder),) if logs else ()),
            *((make_jaeger(build_programs([make_jaeger_module()]), book),) if traces else ()),
            make_collector(programs, book, folder, logs=logs, traces=traces),
            *chosen,
            prometheus,
        )
        yield cleanup.enter_context(run_programs(chain, book, folder))


def _append(links: str, env: Mapping[str, str]) -> dict[str, str]:
    """Append links to those on the console of a service."""
    return {
        name: f"{value}{links}" if name.endswith("_LINKS") else value for name, value in env.items()
    }
