from typing import Any

import pytest

from benchmarks.recording import CANDIDATES, Candidate, measure


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda each: f"{each.kind}, {each.name}")
def test_a_candidate_records_what_it_is_given(candidate: Candidate) -> None:
    recorder = candidate.make()
    for value in (0.25, 0.5):
        recorder.record(value)
    recorder.fold()
    assert recorder.read() == 0.75


async def test_each_candidate_is_compared_with_the_sdk_of_its_kind() -> None:
    said: list[Any] = []
    section = await measure(1, 0, said.append)
    assert len(said) == 1
    assert len(section.rows) == len(CANDIDATES)
    assert [row.ratio.median for row in section.rows if row.name.endswith("SDK")] == [1, 1, 1]
