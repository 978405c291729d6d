from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from randsvc.web.cross_origin import refuse_cross_origin, refuse_foreign_host


def request(**headers: str) -> web.Request:
    return make_mocked_request("PUT", "/", {k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize(
    "headers",
    [
        {},  # curl, or the command line
        {"Sec_Fetch_Site": "same-origin", "Origin": "null"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "http://10.0.0.1:9464", "Host": "10.0.0.1:9464"},
    ],
)
def test_the_own_page_and_what_is_no_browser_may_ask(headers: dict[str, Any]) -> None:
    refuse_cross_origin(request(**headers))


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Sec_Fetch_Site": "cross-site"}, "Sec-Fetch-Site: cross-site"),
        ({"Sec_Fetch_Site": "same-site"}, "Sec-Fetch-Site: same-site"),
        ({"Origin": "http://evil.example", "Host": "10.0.0.1:9464"}, "http://evil.example"),
        ({"Origin": "http://10.0.0.1:80", "Host": "10.0.0.1:9464"}, "http://10.0.0.1:80"),
        ({"Origin": "null", "Host": "10.0.0.1:9464"}, "Origin: null"),
    ],
)
def test_a_page_of_another_origin_may_not(headers: dict[str, Any], said: str) -> None:
    with pytest.raises(web.HTTPForbidden) as refused:
        refuse_cross_origin(request(**headers))
    assert said in (refused.value.text or "")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:9464", "LOCALHOST:1", "randsvc.localhost:9464"),
        *("127.0.0.1:9464", "127.1.2.3", "[::1]:9464"),
    ],
)
def test_names_of_the_loopback_are_taken(host: str) -> None:
    refuse_foreign_host(request(Host=host))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9464",
        "evillocalhost",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::1",
        "",
    ],
)
def test_a_name_that_was_pointed_at_the_loopback_is_not(host: str) -> None:
    with pytest.raises(web.HTTPMisdirectedRequest, match="Misdirected"):
        refuse_foreign_host(request(Host=host))


def test_a_request_without_a_name_is_not_taken() -> None:
    with pytest.raises(web.HTTPMisdirectedRequest):
        refuse_foreign_host(request())
