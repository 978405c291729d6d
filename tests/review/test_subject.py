"""Files of objectives."""

from pathlib import Path

import pytest

from randsvc.errors import ConfigurationError
from randsvc.review.subject import Objective, Subject, load_subject

GOOD = """
metric: http_request_duration_seconds_bucket
labels: {route: handler, status: code}
objectives:
  - {name: clips, route: "/clips/{id}", objective: 0.995, within: 0.5}
  - {name: all, job: radio, objective: 0.9}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "objectives.yaml"
    file.write_text(text)
    return file


def test_a_file_states_objectives_of_jobs_and_the_metric_that_they_are_about(
    tmp_path: Path,
) -> None:
    assert load_subject(written(tmp_path, GOOD), ["media"]) == Subject(
        jobs=("media", "radio"),
        objectives=(
            Objective(name="clips", job="media", route="/clips/{id}", objective=0.995, within=0.5),
            Objective(name="all", job="radio", route=None, objective=0.9),
        ),
        metric="http_request_duration_seconds",
        route_label="handler",
        status_label="code",
    )


def test_without_a_file_and_jobs_a_review_is_of_our_services() -> None:
    subject = load_subject(None, [])
    assert subject.jobs == ("randsvc", "auth")
    assert len(subject.objectives) == 4


def test_the_format_that_the_page_shows_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/review.md").read_text()
    block = page.split("```yaml\n")[1].split("```")[0]
    assert [each.name for each in load_subject(written(tmp_path, block), []).objectives] == [
        "clips-availability",
        "clips-latency",
    ]


ONE = "objectives: [{name: a, job: media, objective: 0.9}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty: expected a mapping with metric, labels, objectives"),
        ("[1]", "the file is [1]: expected a mapping with"),
        ("a: [", ", line 1 is not YAML: "),
        ("a: !!python/object:x {}", " is not YAML: could not determine a constructor"),
        ("slos: []", "the file has an unknown key 'slos': expected metric, labels, objectives"),
        ("objective: []", "the file has an unknown key 'objective': did you mean objectives?"),
        ("objectives: []", "objectives is []: expected a list of one objective or more"),
        ("metric: x", "objectives is missing: expected a list of one objective or more"),
        ("objectives: [x]", "objective 1 is 'x': expected a mapping with name, job, route"),
        (ONE.replace("name: a, ", ""), "objective 1, name is missing: expected text"),
        (ONE.replace("job: media, ", ""), "objective 1, job is missing: expected text"),
        (ONE.replace("0.9", "99.5"), "objective 1, objective is 99.5: expected a share above 0"),
        (ONE.replace("0.9", "'0.9'"), "objective 1, objective is '0.9': expected a number"),
        (ONE.replace("0.9", ".nan"), "objective 1, objective is nan: expected a number"),
        (ONE.replace("0.9", "0.9, within: -1"), "objective 1, within is -1.0: expected seconds"),
        (ONE.replace("0.9", "0.9, route: 3"), "objective 1, route is 3: expected text"),
        (ONE.replace("0.9", "0.9, witin: 1"), "objective 1 has an unknown key 'witin': did you"),
        (f"{ONE}\nlabels: [x]", "labels is ['x']: expected a mapping with route, status"),
        (f"{ONE}\nmetric: ''", "metric is '': expected text"),
        (
            "objectives: [{name: a, job: b, objective: 0.9}, {name: a, job: c, objective: 0.9}]",
            "name is 'a': expected a name of its own for each objective",
        ),
    ],
)
def test_an_error_in_a_file_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as raised:
        load_subject(file, [])
    assert str(raised.value).startswith(str(file))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*/none.yaml: No such file"):
        load_subject(tmp_path / "none.yaml", [])
