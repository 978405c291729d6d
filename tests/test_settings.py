from collections.abc import Mapping
from dataclasses import fields

import pytest
from cyclopts import Token

from randsvc.settings import AuthSettings, Settings, _host_names, _links, unknown_variable
from tests.support.command_line import refuse


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
        ("RANDSVC_PROT", "RANDSVC_PROT: no such setting; did you mean RANDSVC_PORT?"),
        (
            "RANDSVC_AUTH_PROT",
            "RANDSVC_AUTH_PROT: no such setting; did you mean RANDSVC_AUTH_P",
        ),
        ("RANDSVC_QQQ", "RANDSVC_QQQ: no such setting; known: RANDSVC_AUTH_"),
    ],
)
def test_an_unknown_variable_is_named_with_what_it_may_have_been(name: str, said: str) -> None:
    problem = unknown_variable({name: "hunter2"}) or ""
    assert problem.startswith(said)
    assert "hunter2" not in problem


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


@pytest.mark.parametrize(
    "text", ["Grafana=http://me:hunter2@localhost:3000", "Grafana=me:hunter2@localhost"]
)
def test_a_link_with_a_password_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        parsed_links(text)
    assert "hunter2" not in str(error.value)


def test_allowed_hosts_are_names_in_lower_case() -> None:
    assert _host_names(str, [Token(value="randsvc, Metrics.example,")]) == {
        "randsvc",
        "metrics.example",
    }
    with pytest.raises(ValueError, match="'a:80': expected host names without ports"):
        _host_names(str, [Token(value="a:80")])


@pytest.mark.parametrize("text", ["\n", "1\n2", "\x1b[31m"])
def test_a_value_of_several_lines_is_one_line_of_error(text: str) -> None:
    line = refuse("serve", environ={"RANDSVC_PORT": text})
    assert line.startswith("randsvc: Invalid value for RANDSVC_PORT")
    assert line.isprintable()
