import pytest

from randsvc.settings import unknown_variable


def test_variables_of_others_and_our_own_are_known() -> None:
    assert unknown_variable({"PATH": "/bin", "RANDSVC_PORT": "1", "RANDSVC_LOG_LEVEL": "x"}) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RANDSVC_PROT", 'RANDSVC_PROT="1": no such setting; did you mean RANDSVC_PORT?'),
        ("RANDSVC_QQQ", 'RANDSVC_QQQ="1": no such setting; known: RANDSVC_DELAY, RANDSVC_GRACE'),
    ],
)
def test_an_unknown_variable_is_named_with_what_it_may_have_been(name: str, said: str) -> None:
    assert (unknown_variable({name: "1"}) or "").startswith(said)
