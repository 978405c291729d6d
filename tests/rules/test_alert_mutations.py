"""Break each term of each alert in every way that a slip of the pen could: some case must notice.

Mutations are of the text in production windows: a threshold doubled, halved or moved off 0, an
operand of and, or, unless dropped, a matcher dropped. What a burn rate is recorded from is mutated
for one window, as all windows are made by the same code.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pytest

from randsvc.objectives import SLOS
from randsvc.rules import make_alerts
from randsvc.rules.slo import make_burn_alerts
from randsvc.rules.time_scale import PRODUCTION
from tests.support.alert_cases import Case, list_cases, list_rules, run_cases, run_tests
from tests.support.ml_alert_cases import list_ml_cases

pytestmark = pytest.mark.native

CASES = [*list_cases(), *list_ml_cases()]
NAMES = list(dict.fromkeys(alert.name for alert in make_alerts(PRODUCTION)))

SAME = {slo.alert for slo in SLOS}
FIRST = SLOS[0].alert
"""The one of them whose conditions are mutated; what each of them reads is, for every one."""

EQUIVALENT = {
    r"drops job=.*used_per_limit": "`and` takes the same job on its other side",
    r"drops slo=": "`and` takes the same slo on its other side, whose matcher is still there; with "
    "all of them each condition can be read, and asked, on its own",
    r"log_likelihood_ratio: drops window=": "the operands have the same window, and one still "
    "says which",
    r"drops window=\"3d\" from .*log_likelihood": "no window says more against chance than the "
    "longest, at the lowest factor",
}
"""Mutations that change nothing, and why, by a pattern of what they do; they are not tried."""


@dataclass(frozen=True)
class Mutation:
    """What it does, and the expression that comes of it."""

    does: str
    expr: str


def mutations(expr: str) -> Iterator[Mutation]:
    """Give every mutation of an alert's expression."""
    yield from thresholds(expr)
    yield from dropped_operands(expr)
    yield from dropped_matchers(expr)


def thresholds(expr: str) -> Iterator[Mutation]:
    """Double and halve each number that is compared with; make a 0 -1 and 2."""
    for found in re.finditer(r"(?:==|>=|<=|>|<) ([\d.]+)", expr):
        limit = float(found[1])
        for other in (2 * limit, limit / 2) if limit else (-1.0, 2.0):
            changed = f"{found[0].removesuffix(found[1])}{other:g}"
            yield Mutation(
                f"{found[0]} -> {other:g}, the one at {found.start()}",
                expr[: found.start()] + changed + expr[found.end() :],
            )


def dropped_operands(expr: str) -> Iterator[Mutation]:
    """Drop each operand of a set operator, with that operator."""
    parts = _split(expr)
    if len(parts) == 1:
        if expr.startswith("(") and expr.endswith(")"):
            for inner in dropped_operands(expr[1:-1]):
                yield Mutation(inner.does, f"({inner.expr})")
        return
    for i, operand in enumerate(parts[::2]):
        rest = parts[2:] if i == 0 else parts[: 2 * i - 1] + parts[2 * i + 1 :]
        yield Mutation(f"drops the operand {operand}", "".join(rest))
        for inner in dropped_operands(operand):
            whole = [*parts[: 2 * i], inner.expr, *parts[2 * i + 1 :]]
            yield Mutation(inner.does, "".join(whole))


def dropped_matchers(expr: str) -> Iterator[Mutation]:
    """Drop each matcher of each selector."""
    for found in re.finditer(r"([\w:]+)\{([^}]*)\}", expr):
        matchers = re.findall(r'\w+(?:=~|!~|!=|=)"[^"]*"', found[2])
        assert ",".join(matchers) == found[2]
        for i, matcher in enumerate(matchers):
            left = ",".join(matchers[:i] + matchers[i + 1 :])
            around = expr[max(0, found.start() - 20) : found.start()]
            yield Mutation(
                f"drops {matcher} from {around}{found[0]}, the one at {found.start()}",
                f"{expr[: found.start()]}{found[1]}{{{left}}}{expr[found.end() :]}"
                if left
                else f"{expr[: found.start()]}{found[1]}{expr[found.end() :]}",
            )


def _split(expr: str) -> list[str]:
    """Split at the set operators that are in no parentheses: operand, operator, operand ...

    >>> _split("a > 1 and on () (b or c)")
    ['a > 1', ' and on () ', '(b or c)']
    """
    parts, start, depth, at = [], 0, 0, 0
    while at < len(expr):
        depth += {"(": 1, ")": -1}.get(expr[at], 0)
        operator = re.compile(r" (?:and|or|unless) (?:on \(\) )?").match(expr, at)
        if operator and depth == 0:
            parts += [expr[start:at], operator[0]]
            at = start = operator.end()
        else:
            at += 1
    return [*parts, expr[start:]]


def list_mutants(rule: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """List the mutations of a rule that change it: what each does, and the mutated rule."""
    name = rule.get("alert")
    if name is None:
        windowed = rule["labels"].get("window") == "1h"
        found = dropped_matchers(rule["expr"]) if windowed else iter(())
    elif name in SAME and name != FIRST:
        found = iter(())
    else:
        found = mutations(rule["expr"])
    place = rule.get("record", rule["labels"].get("level"))
    mutants = [(f"{place}: {each.does}", rule | {"expr": each.expr}) for each in found]
    return [
        (does, mutant)
        for does, mutant in mutants
        if not any(re.search(pattern, does) for pattern in EQUIVALENT)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_mutation_of_an_alert_fails_a_case(name: str) -> None:
    rules = list_rules(name)
    survivors = []
    for rule in rules:
        level = rule["labels"].get("level", "critical")
        cases = [case for case in CASES if case.alert == name and case.level == level]
        mutants = list_mutants(rule)
        if "record" in rule:
            for does, mutant in mutants:
                changed = [mutant if other is rule else other for other in rules]
                if not any(run_cases(changed, [case]).returncode for case in cases):
                    survivors.append(does)
        else:
            survivors += find_survivors(rules, mutants, cases)
    assert not survivors, "\n".join(survivors)


def find_survivors(
    rules: list[dict[str, Any]], mutants: list[tuple[str, dict[str, Any]]], cases: Sequence[Case]
) -> list[str]:
    """Return what those mutations of an alert do that no case notices.

    promtool evaluates all of them at once, each under a name of its own. It ends at a rule that it
    cannot evaluate: that mutation is noticed, and the others are evaluated again.
    """
    records = [rule for rule in rules if "record" in rule]
    alive = {
        f"{mutant['alert']}{number}": (does, mutant)
        for number, (does, mutant) in enumerate(mutants)
    }
    for case in cases:
        ended_early = True
        while ended_early and alive:
            asked = [replace(case, alert=name).test()["promql_expr_test"] for name in alive]
            test = case.test() | {"promql_expr_test": [*chain.from_iterable(asked)]}
            renamed = [mutant | {"alert": name} for name, (_, mutant) in alive.items()]
            done = run_tests([*records, *renamed], case.level, case.step, [test])
            failed = set(re.findall(r'alertname=\\"(\w+)', done.stdout))
            not_evaluated = set(re.findall(r"rule: (\w+), time: ", done.stdout))
            ended_early = bool(not_evaluated)
            noticed = failed | not_evaluated
            assert bool(done.returncode) == bool(noticed & alive.keys()), done.stdout
            alive = {name: one for name, one in alive.items() if name not in noticed}
    return [does for does, _ in alive.values()]


def test_the_alerts_on_budgets_differ_in_the_objective_alone() -> None:
    exprs: dict[str, list[str]] = {}
    for alert in make_burn_alerts(PRODUCTION):
        slo = next(slo.name for slo in SLOS if slo.alert == alert.name)
        exprs.setdefault(alert.name, []).append(alert.expr.replace(slo, "NAME"))
    assert set(exprs) == SAME
    # Each states its budget, and the budget times the burn rate of each window.
    relative = {name: [divide_by_budget(expr) for expr in of] for name, of in exprs.items()}
    assert all(of_one == relative[FIRST] for of_one in relative.values())


def divide_by_budget(expr: str) -> str:
    """Give an expression with a burn rate in place of the share that it is of a budget.

    >>> divide_by_budget("0.005 * x > 0.03")
    'x > 6'
    """

    def divided(found: re.Match[str]) -> str:
        return f"{found[2]} > {float(found[3]) / float(found[1]):g}"

    return re.sub(r"([\d.]+) \* (.*?) > ([\d.]+)", divided, expr)


def test_mutations_are_those_that_are_meant() -> None:
    assert [m.expr for m in mutations('a{x="1"} > 3 and on () (b or c == 0)')] == [
        'a{x="1"} > 6 and on () (b or c == 0)',
        'a{x="1"} > 1.5 and on () (b or c == 0)',
        'a{x="1"} > 3 and on () (b or c == -1)',
        'a{x="1"} > 3 and on () (b or c == 2)',
        "(b or c == 0)",
        'a{x="1"} > 3',
        'a{x="1"} > 3 and on () (c == 0)',
        'a{x="1"} > 3 and on () (b)',
        "a > 3 and on () (b or c == 0)",
    ]
