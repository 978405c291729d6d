from dataclasses import fields

import pytest

from randsvc.settings import AuthSettings, Settings, unknown_variable


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
