"""docs/architecture.md says what import-linter enforces."""

import re
import tomllib

from randsvc.project import ROOT

LAYER = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)


def test_the_layers_of_the_page_are_those_of_the_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    page = (ROOT / "docs/architecture.md").read_text()
    _, _, section = page.partition("## The layers")
    table, _, _ = section.partition("\n## ")
    shown = [set(re.findall(r"\w+", row)) for row in LAYER.findall(table)]
    assert shown == [set(layer.split(" | ")) for layer in contract["layers"]]
