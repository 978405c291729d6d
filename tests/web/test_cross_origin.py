from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from randsvc.web.cross_origin import refuse_cross_origin, refuse_foreign_host


def request(method: str = "PUT", **headers: str) -> web.Request:
    return make_mocked_request(method, "/", {k.replace("_", "-"): v for k, v in headers.items()})


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
        ({"Origin": "http://[", "Host": "10.0.0.1:9464"}, "Origin: http://["),
    ],
)
def test_a_page_of_another_origin_may_not(headers: dict[str, Any], said: str) -> None:
    with pytest.raises(web.HTTPForbidden) as refused:
        refuse_cross_origin(request(**headers))
    assert said in (refused.value.text or "")


LINK = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}


def test_a_link_of_another_site_may_be_followed_but_nothing_else() -> None:
    refuse_cross_origin(request("GET", **LINK))
    for refused in (
        request("PUT", **LINK),
        request("GET", **LINK | {"Sec_Fetch_Dest": "iframe"}),
        request("GET", **LINK | {"Sec_Fetch_Mode": "no-cors"}),
    ):
        with pytest.raises(web.HTTPForbidden):
            refuse_cross_origin(refused)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:9464", "LOCALHOST:1", "randsvc.localhost:9464"),
        *("127.0.0.1:9464", "127.1.2.3", "[::1]:9464", "10.0.0.1", "[fe80::1]:9464"),
        *("randsvc", "RANDSVC:9464"),
    ],
)
def test_addresses_names_of_loopback_and_allowed_names_are_taken(host: str) -> None:
    refuse_foreign_host(request(Host=host), {"randsvc"})


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:9464", "evillocalhost", "127.0.0.1.evil.example"),
        *("randsvc.evil.example", "randsvc@evil.example", "evil.example@127.0.0.1"),
        *(
            "evil.example/localhost",
            "localhost/",
            "localhost:x",
            "[::1",
            "a:b",
            "::1",
            "",
        ),
        *("localhost.", "randsvc.", "localhost evil.example", "localhost#evil.example"),
    ],
)
def test_any_other_name_is_refused(host: str) -> None:
    with pytest.raises(web.HTTPMisdirectedRequest, match="Misdirected"):
        refuse_foreign_host(request(Host=host), {"randsvc"})


def test_a_request_without_a_name_is_refused() -> None:
    with pytest.raises(web.HTTPMisdirectedRequest):
        refuse_foreign_host(request())
