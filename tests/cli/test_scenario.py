"""The command that lists, shows and runs scenarios."""

import re

from randsvc.incidents.scenario import list_scenarios
from tests.support.command_line import refuse, run_randsvc


def test_the_list_has_every_scenario_with_its_level_and_time_limit() -> None:
    lines = run_randsvc("scenario", "list").stdout.splitlines()
    found = {
        line.split()[0] for line in lines[1:] if re.match(r" \S+ +(critical|ma|mi|none)", line)
    }
    assert found == set(list_scenarios())
    assert any(re.match(r" model-down +major +40 s +The model is down", line) for line in lines)


def test_show_lists_the_steps_and_the_expected_alert() -> None:
    shown = " ".join(run_randsvc("scenario", "show", "strange-loop").stdout.split())
    assert "- fault latency of randsvc: share 0.01, seconds 2" in shown
    assert (
        "Expected: RandsvcStrangeLoop fires at level minor within 90 s, notifies digest, and clears"
        in shown
    )


def test_a_stack_that_does_not_run_is_one_line() -> None:
    line = refuse("scenario", "run", "model-down", "--prometheus", "http://127.0.0.1:1")
    assert line.startswith("randsvc: --prometheus: cannot reach Prometheus at http://127.0.0.1:1: ")


def test_a_scenario_that_needs_a_person_refuses_to_run_without_a_terminal() -> None:
    assert refuse("scenario", "run", "service-down", apart=True) == (
        "randsvc: scenario service-down stops randsvc, which you must do by hand: "
        "run the scenario in a terminal"
    )
