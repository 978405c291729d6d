"""Images of the cluster's containers, from files of this machine: no registry, no Docker.

An image holds a few programs and the libraries that they load. Where images can be pulled, those
of docker-compose.yml and of the Dockerfile take their place under the same names.
"""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.cluster.nodes import PAUSE
from randsvc.project import ROOT
from randsvc.stack.build import BuildError, find_cache
from randsvc.stack.programs import BLACKBOX_PACKAGE

__all__ = (
    "RELOADER",
    "SERVICE",
    "Image",
    "build_images",
    "list_files",
    "list_images",
    "write_image",
)

SERVICE = "docker.io/randsvc/service:local"
RELOADER = "localhost/prometheus-config-reloader:1"
_NOBODY = "65534:65534"
_NOT_NEEDED = re.compile(r"/(site-packages|test|idlelib|ensurepip|tkinter|config-[^/]*)(/|$)")


@dataclass(frozen=True, kw_only=True)
class Image:
    """``files`` gives the file or folder of this machine by its path in the image."""

    name: str
    entrypoint: Sequence[str]
    files: Mapping[str, Path]
    user: str = _NOBODY
    env: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"


def build_images(images: Iterable[Image]) -> Iterator[Path]:
    """Yield each image as a file that containerd imports; those of unchanged files are kept."""
    kept = find_cache().parent / "images"
    kept.mkdir(parents=True, exist_ok=True)
    for image in images:
        files = list(list_files(image))
        target = kept / f"{re.sub('[^a-z0-9]+', '-', image.name)}-{_hash(image, files)}.tar"
        if not target.exists():
            for earlier in kept.glob(f"{target.name.rsplit('-', 1)[0]}-*.tar"):
                earlier.unlink()
            write_image(image, files, target)
        yield target


def list_images(stack: Path, cluster: Path, versions: Mapping[str, str]) -> Iterator[Image]:
    """Yield the images of `make cluster`.

    ``stack`` and ``cluster`` are folders of programs, and ``versions`` gives those of images, by
    the names of .env. Raises ``BuildError``.
    """
    prom = "docker.io/prom"
    single = {
        PAUSE: _find("sleep"),
        RELOADER: f"{cluster}/prometheus-config-reloader",
        "localhost/coredns:1": f"{cluster}/coredns",
        "localhost/metrics-server:1": f"{cluster}/metrics-server",
        f"quay.io/thanos/thanos:{versions['THANOS_VERSION']}": f"{cluster}/thanos",
        f"{prom}/prometheus:{versions['PROMETHEUS_VERSION']}": f"{stack}/prometheus",
        f"{prom}/alertmanager:{versions['ALERTMANAGER_VERSION']}": f"{stack}/alertmanager",
        f"{prom}/blackbox-exporter:{versions['BLACKBOX_VERSION']}": _find(BLACKBOX_PACKAGE),
    }
    for name, program in single.items():
        path = f"/bin/{Path(program).name}"
        command = [path, "infinity"] if name == PAUSE else [path]
        yield Image(name=name, entrypoint=command, files={path: Path(program)})
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    yield Image(
        name=SERVICE,
        entrypoint=["/usr/local/bin/python3", "-m", "randsvc"],
        files={
            "/usr/local/bin/python3": Path(sys.executable).resolve(),
            f"/usr/local/lib/{version}": Path(sysconfig.get_path("stdlib")),
            "/app/packages": _install_packages(),
            "/app/randsvc": ROOT / "randsvc",
            "/app/docs/runbooks": ROOT / "docs/runbooks",
        },
        user="10001:10001",
        env={
            "PYTHONPATH": "/app:/app/packages",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        },
        folder="/app",
    )


def _find(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise BuildError(f"no program `{program}` in PATH")
    return found


def _install_packages() -> Path:
    """Install what the service needs, once, at the versions of requirements/run.txt."""
    pins = ROOT / "requirements/run.txt"
    content = pins.read_bytes() + sys.version.encode()
    target = find_cache().parent / f"packages-{hashlib.sha256(content).hexdigest()[:12]}"
    if not target.is_dir():
        with tempfile.TemporaryDirectory(dir=target.parent) as unfinished:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes"]
            options = ["--disable-pip-version-check", "--only-binary=:all:"]
            folder = Path(unfinished) / "packages"
            done = subprocess.run([*command, *options, f"--target={folder}", "-r", pins])  # noqa: S603
            if done.returncode:
                raise BuildError(f"pip cannot install what {pins} pins: its message is above")
            folder.rename(target)
    return target


def list_files(image: Image) -> Iterator[tuple[str, Path]]:
    """Yield each file of an image, shared libraries included, with its place there."""
    linked = []
    for place, source in image.files.items():
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            inside = str(path)[len(str(source)) :]
            if not path.is_file() or _NOT_NEEDED.search(inside) or path.suffix == ".pyc":
                continue
            yield f"{place}{inside}", path
            if path == source or ".so" in path.suffixes:
                linked.append(path)
    yield from _find_libraries(linked).items()


def _find_libraries(programs: Sequence[Path]) -> dict[str, Path]:
    """Return what the loader would load, by its place in an image.

    Libraries that a wheel brings are found next to it; only those of the system need a place.
    """
    done = subprocess.run(["ldd", *programs], capture_output=True, text=True)  # noqa: S603, S607
    libraries = {}
    for line in done.stdout.splitlines():
        if found := re.match(r"\s*(\S+) => (/\S+) ", line):
            libraries[f"/lib/{found[1]}"] = Path(found[2])
        elif found := re.match(r"\s*(/\S+ld-\S+) ", line):  # the loader, which the program names
            libraries[found[1]] = Path(found[1]).resolve()
    return libraries


def _hash(image: Image, files: Sequence[tuple[str, Path]]) -> str:
    digest = hashlib.sha256(repr(image).encode())
    for place, path in files:
        stat = path.stat()
        digest.update(f"\0{place}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:12]


def write_image(image: Image, files: Sequence[tuple[str, Path]], target: Path) -> None:
    """Write an image of one layer, as `docker save` does.

    https://github.com/moby/docker-image-spec/blob/main/spec.md
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as unfinished:
        layer = Path(unfinished) / "layer.tar"
        with tarfile.open(layer, "w") as archive:
            for place, path in files:
                entry = tarfile.TarInfo(place.lstrip("/"))
                entry.size = path.stat().st_size
                # Everybody may read it, whoever may here.
                entry.mode = 0o755
                with path.open("rb") as content:
                    archive.addfile(entry, content)
        with layer.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        env = {"PATH": "/usr/local/bin:/bin", "LD_LIBRARY_PATH": "/lib", **image.env}
        config = {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[_find_machine()],
            "os": "linux",
            "config": {
                "Entrypoint": list(image.entrypoint),
                "Env": [f"{name}={value}" for name, value in env.items()],
                "User": image.user,
                "WorkingDir": image.folder,
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
        manifest = [{"Config": "config.json", "RepoTags": [image.name], "Layers": ["layer.tar"]}]
        whole = Path(unfinished) / "image.tar"
        with tarfile.open(whole, "w") as archive:
            archive.add(layer, "layer.tar")
            for name, value in (("config.json", config), ("manifest.json", manifest)):
                text = json.dumps(value).encode()
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text))
        whole.rename(target)


def _find_machine() -> str:
    return sysconfig.get_platform().rsplit("-", 1)[1]
