"""Tables in Markdown."""

from randsvc.markdown import write_table


def test_a_table_has_a_rule_below_its_heads() -> None:
    assert write_table(["part", "CPU"], [["query", "0.1"]], right=[1]).splitlines() == [
        "| part | CPU |",
        "| --- | ---: |",
        "| query | 0.1 |",
    ]


def test_a_bar_in_a_cell_starts_no_cell() -> None:
    assert write_table(["a"], [["b | c"]]).endswith("| b \\| c |")
