"""The corpus has enough answers to be a proof, and its command says whether one is misjudged."""

from collections.abc import Mapping

import pytest

from tests.course.corpus import FAMILIES, Family, __main__
from tests.course.corpus.answer import Answer


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_200_wrong_and_50_right_answers(name: str) -> None:
    family = FAMILIES[name]
    assert len(family.wrong) >= 200
    assert len(family.right) >= 50
    assert all(answer.hint for answer in family.wrong.values())
    assert not any(answer.hint for answer in family.right.values())


@pytest.mark.parametrize(("problem", "code"), [("", 0), ("wrong, but passed", 1)])
def test_the_exit_code_says_whether_an_answer_is_misjudged(
    problem: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(family: Family, answers: Mapping[str, Answer], jobs: int) -> list[tuple[str, str]]:
        return [(title, problem) for title in answers]

    monkeypatch.setattr(__main__, "_judge", judge)
    with pytest.raises(SystemExit) as ended:
        __main__.app(["metrics"])
    assert ended.value.code == code
