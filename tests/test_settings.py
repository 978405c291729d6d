from collections.abc import Mapping
from dataclasses import fields

import pytest
from cyclopts import Token

from randsvc.settings import AuthSettings, Settings, _links, unknown_variable


def parsed_links(text: str) -> Mapping[str, str]:
    return _links(str, [Token(value=text)])


def test_variables_of_others_and_our_own_are_known() -> None:
    ours = {"RANDSVC_PORT": "1", "RANDSVC_LOG_LEVEL": "x", "RANDSVC_AUTH_LIFETIME": "1"}
    assert unknown_variable({"PATH": "/bin", **ours}) is None


def test_both_services_know_the_secret_and_the_password_by_one_name() -> None:
    names = [
        {settings.prefix + field.name.upper() for field in fields(settings)}
        for settings in (Settings, AuthSettings)
    ]
    assert names[0] & names[1] == {"RANDSVC_AUTH_SECRET", "RANDSVC_AUTH_PASSWORD"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RANDSVC_PROT", 'RANDSVC_PROT="1": no such setting; did you mean RANDSVC_PORT?'),
        (
            "RANDSVC_AUTH_PROT",
            'RANDSVC_AUTH_PROT="1": no such setting; did you mean RANDSVC_AUTH_P',
        ),
        (
            "RANDSVC_QQQ",
            'RANDSVC_QQQ="1": no such setting; known: RANDSVC_AUTH_GRACE, RANDSVC_AUTH',
        ),
    ],
)
def test_an_unknown_variable_is_named_with_what_it_may_have_been(name: str, said: str) -> None:
    assert (unknown_variable({name: "1"}) or "").startswith(said)


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("", {}),
        ("Grafana=http://localhost:3000", {"Grafana": "http://localhost:3000"}),
        (" A b=http://a , C=https://c/?x=y,", {"A b": "http://a", "C": "https://c/?x=y"}),
    ],
)
def test_links_are_names_and_addresses(text: str, links: dict[str, str]) -> None:
    assert parsed_links(text) == links


@pytest.mark.parametrize("text", ["Grafana", "=http://a", "A=ftp://a", "A=javascript:alert(1)"])
def test_a_link_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="expected NAME=URL") as error:
        parsed_links(f"B=http://b,{text}")
    assert repr(text) in str(error.value)
