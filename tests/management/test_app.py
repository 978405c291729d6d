import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from aiohttp import request
from yarl import URL

from randsvc.management.app import make_management_app
from randsvc.management.console import Console
from tests.support.breaking import faults_of
from tests.support.serving import serving


def app_of(
    *, ready: bool = True, metrics: bytes | None = b"a 1\n", **options: Any
) -> AbstractAsyncContextManager[URL]:
    async def render(content_type: str) -> bytes | None:
        return metrics and metrics + f"# {content_type}\n".encode()

    return serving(
        make_management_app(
            ready=lambda: ready,
            metrics=render,
            faults=faults_of(),
            console=Console(service="randsvc"),
            **options,
        )
    )


async def get(url: URL, path: str) -> tuple[int, str]:
    async with request("GET", url.joinpath(path)) as response:
        return response.status, await response.text()


# What Prometheus 3 accepts with start times, and without.
PREFERS_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text/plain; version=0.0.4; charset=utf-8"),
        (PREFERS_PROTOBUF, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ],
)
async def test_metrics_are_given_in_the_format_that_is_accepted(accept: str, given: str) -> None:
    async with (
        app_of() as url,
        request("GET", url.joinpath("metrics"), headers={"Accept": accept}) as response,
    ):
        assert response.headers["Content-Type"] == given
        assert await response.text() == f"a 1\n# {given}\n"


@pytest.mark.parametrize("accept", ["*/*", PREFERS_PROTOBUF])
async def test_metrics_answer_where_pulling_is_off_and_say_why_there_are_none(accept: str) -> None:
    async with (
        app_of(metrics=None) as url,
        request("GET", url.joinpath("metrics"), headers={"Accept": accept}) as response,
    ):
        assert response.status == 200
        assert response.content_type == "text/plain"
        text = await response.text()
    assert "OTEL_METRICS_EXPORTER" in text
    assert all(line.startswith("#") for line in text.splitlines())


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_follows_the_service_and_liveness_does_not(
    *, ready: bool, status: int
) -> None:
    async with app_of(ready=ready) as url:
        assert (await get(url, "readyz"))[0] == status
        assert (await get(url, "livez"))[0] == 200


async def test_faults_are_shown() -> None:
    async with app_of() as url:
        status, text = await get(url, "faults")
    assert status == 200
    assert '"on": {}' in text


async def test_the_console_is_the_first_page() -> None:
    async with app_of() as url:
        status, text = await get(url, "")
    assert status == 200
    assert "<title>randsvc console</title>" in text


async def test_an_unknown_page_is_a_problem() -> None:
    async with app_of() as url:
        assert (await get(url, "secrets"))[0] == 404


PATHS = ("", "metrics", "livez", "readyz", "faults", "console/live", "runbooks/x", "nothing")


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("path", PATHS)
async def test_no_path_is_for_pages_of_other_sites_whatever_the_port_listens_on(
    path: str, *, local: bool
) -> None:
    async with app_of(local=local) as url:
        for headers, status in (
            ({"Host": "evil.example:9464"}, 421),
            ({"Host": "\udcff"}, 421),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Origin": "http://["}, 403),
            ({"Origin": "\udcff"}, 403),
        ):
            async with request("GET", url.joinpath(path), headers=headers) as response:
                assert response.status == status, headers
                assert response.content_type == "application/problem+json"
                assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_an_allowed_name_is_served() -> None:
    async with (
        app_of(local=False, allowed_hosts={"randsvc"}) as url,
        request("GET", url.joinpath("metrics"), headers={"Host": "randsvc:9464"}) as response,
    ):
        assert response.status == 200


@pytest.mark.parametrize("name", ["Host", "Origin", "Sec-Fetch-Site", "Authorization"])
async def test_bytes_that_are_no_text_are_refused_and_no_failure(name: str) -> None:
    async with app_of(token="secret") as url:  # noqa: S106
        reader, writer = await asyncio.open_connection(url.host, url.port)
        value = b"Bearer \xff" if name == "Authorization" else b"\xff"
        host = b"" if name == "Host" else b"Host: localhost\r\n"
        writer.write(b"DELETE /faults HTTP/1.1\r\n%s%s: %s\r\n\r\n" % (host, name.encode(), value))
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
        writer.close()
