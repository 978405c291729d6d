"""The corpus has enough answers to be a proof."""

import pytest

from tests.course.corpus import FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_200_wrong_and_50_right_answers(name: str) -> None:
    family = FAMILIES[name]
    assert len(family.wrong) >= 200
    assert len(family.right) >= 50
    assert all(answer.hint for answer in family.wrong.values())
    assert not any(answer.hint for answer in family.right.values())
