"""The memory limit of a process: that of its cgroups, or all memory of the machine."""

from pathlib import Path

import psutil
import pytest

from randsvc.telemetry.runtime import find_memory_limit

TOTAL = psutil.virtual_memory().total


def make_root(root: Path, cgroup: str, limits: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"0::{cgroup}\n")
    for folder, limit in limits.items():
        (root / "sys/fs/cgroup" / folder).mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / folder / "memory.max").write_text(f"{limit}\n")
    return root


@pytest.mark.parametrize(
    ("cgroup", "limits", "expected"),
    [
        ("/", {".": "1000"}, 1000),
        ("/a/b", {"a": "1000", "a/b": "max"}, 1000),
        ("/a/b", {"a": "1000", "a/b": "500"}, 500),
        ("/a/b", {"a": "max", "c": "500"}, TOTAL),
        ("/a", {"a": str(2 * TOTAL)}, TOTAL),
        ("/a", {"a": "?"}, TOTAL),
    ],
)
def test_the_lowest_limit_of_the_cgroups_above_a_process_counts(
    tmp_path: Path, cgroup: str, limits: dict[str, str], expected: int
) -> None:
    assert find_memory_limit(make_root(tmp_path, cgroup, limits)) == expected


def test_without_cgroups_the_limit_is_all_memory(tmp_path: Path) -> None:
    assert find_memory_limit(tmp_path) == TOTAL
