"""A small disk of its own for a chain, which can be filled and slowed down."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Event

from benchmarks.chaos.background import run_beside

__all__ = ("can_mount", "fill_disk", "mount_disk", "slow_disk")

SIZE = 256
"""MB."""
FROZEN, THAWED = 0.8, 0.2
"""Seconds of each second in which a slow disk takes no write, and in which it does."""


@contextmanager
def mount_disk() -> Iterator[Path]:
    """Mount an empty disk in a ``with`` block, and give its folder; only root may."""
    with ExitStack() as cleanup:
        around = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        image, folder = around / "disk", around / "mounted"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(SIZE << 20)
        # No blocks are reserved for root: a full disk is full for everybody.
        _run("mkfs.ext4", "-q", "-m", "0", str(image))
        _run("mount", "-o", "loop", str(image), str(folder))
        cleanup.callback(_run, "umount", "--lazy", str(folder))
        yield folder


@cache
def can_mount() -> bool:
    """Whether this process may mount a disk: in most containers not even root may."""
    if os.geteuid() != 0:
        return False
    try:
        with mount_disk():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def fill_disk(folder: Path) -> Iterator[None]:
    """Leave no free byte on the disk of a folder inside the ``with`` block."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass
            os.fsync(file.fileno())
        yield
    finally:
        filler.unlink()


@contextmanager
def slow_disk(folder: Path) -> Iterator[None]:
    """Let writes to the disk of a folder wait for most of the time inside the ``with`` block."""

    def freeze_and_thaw(ended: Event) -> None:
        while not ended.is_set():
            _run("fsfreeze", "--freeze", str(folder))
            try:
                ended.wait(FROZEN)
            finally:
                _run("fsfreeze", "--unfreeze", str(folder))
            ended.wait(THAWED)

    with run_beside(freeze_and_thaw):
        yield


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
