from collections.abc import Callable
from pathlib import Path

import pytest

from randsvc.documents import LONGEST, DocumentError, load_json, load_yaml, show

LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
"""Nine lines that stand for a billion items."""


@pytest.mark.parametrize(
    "text",
    [
        *("[", "[" * 10_000, "a: b: c", "\t", "\x00", "!!int x", "!!timestamp x", "2024-99-99"),
        *("!!binary x", "!!float x", "[x]: y", "? [x]", "9" * 5000, "!!python/object:x {}"),
    ],
    ids=lambda text: text[:20].encode().hex(),
)
def test_a_file_that_is_no_yaml_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(text)
    with pytest.raises(DocumentError) as raised:
        load_yaml(file)
    assert str(raised.value).startswith(str(file))
    assert " is not YAML: " in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000])
def test_a_file_that_is_no_json_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "some.json"
    file.write_text(text)
    with pytest.raises(DocumentError, match=r"some\.json is not JSON: [^\n]+$"):
        load_json(file)


@pytest.mark.parametrize("load", [load_json, load_yaml])
def test_a_file_that_is_no_text_is_one_line(tmp_path: Path, load: Callable[[Path], object]) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(DocumentError, match="bytes is not UTF-8 text"):
        load(tmp_path / "bytes")


def test_a_value_is_shown_short_however_large_it_is(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(LAUGHS)
    for large in (load_yaml(file), "x" * 1000, 1 << 100_000, {"a": ["b" * 1000] * 1000}):
        assert len(show(large)) <= LONGEST + 3
    assert show(["x", 1.5, None]) == "['x', 1.5, None]"
