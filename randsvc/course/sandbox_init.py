"""Closes a sandbox from inside, and runs a learner's program in it.

``sandbox.py`` starts this file as a program of its own, ``python -I sandbox_init.py SPEC``, which
imports nothing of randsvc. In new namespaces it is process 1: when it ends, the kernel kills every
process of the sandbox. Each message on the control socket is answered with a TCP socket of the
sandbox's network; the sandbox ends when the control socket closes or the program ends.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

SETUP_FAILED = 97
"""The exit code when the sandbox cannot be closed."""

# mount(2), mount_setattr(2), prctl(2), netdevice(7)
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC = 2, 4, 4096, 16384
MOUNT_SETATTR, AT_RECURSIVE, AT_FDCWD, MOUNT_ATTR_RDONLY = 442, 0x8000, -100, 1
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 24, 38, 36
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
DEVICES = ("null", "zero", "full", "random", "urandom")

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Close the sandbox, run the program, and end with its exit code."""
    spec = json.loads(sys.argv[1])
    hidden: list[Path] = []
    try:
        if spec["namespaces"]:
            if os.getpid() != 1:
                raise OSError("not in namespaces of its own")  # what follows is for them alone
            _close_network()
            hidden = _close_files(spec)
        else:
            # Orphans become children of this process, which ends them.
            _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            _fill_box(spec)
            Path(spec["box"], "tried").symlink_to(spec["tried"])
    except (OSError, shutil.Error) as error:
        sys.stderr.write(f"the sandbox cannot be set up: {error}\n")
        sys.exit(SETUP_FAILED)
    program = subprocess.Popen(  # noqa: S603
        spec["command"],
        cwd=spec["work"] if spec["namespaces"] else f"{spec['box']}/work",
        env=spec["env"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # This process has one thread, so that code between fork and exec is safe.
        preexec_fn=lambda: _give_up_rights(spec["limits"]),
    )
    code = _serve(spec["control"], program) if spec["control"] else program.wait()
    _note([*_list_orphans(program.pid), *_list_files(hidden)], Path(spec["box"], "tried"))
    if not spec["namespaces"]:
        _kill_descendants()
    sys.exit(code if code >= 0 else 128 - code)


def _serve(descriptor: int, program: "subprocess.Popen[bytes]") -> int:
    """Hand out sockets until the program ends; kill it when the other end closes."""
    control = socket.socket(fileno=descriptor)
    while (code := program.poll()) is None:
        _reap(program.pid)
        if not select.select([control], [], [], 0.1)[0]:
            continue
        if not control.recv(16):
            return 0
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
            socket.send_fds(control, [b"socket"], [one.fileno()])
    return code


def _reap(program: int) -> None:
    """Take the exit codes of orphans, which are children of process 1, not the program's own."""
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == program:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def _kill_descendants() -> None:
    """Kill every descendant, also those with a session of their own."""
    import psutil

    while found := psutil.Process().children(recursive=True):
        for each in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(found, timeout=1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def _close_network() -> None:
    """Bring up loopback, the only interface of a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(any_, SIOCGIFFLAGS, request))
        fcntl.ioctl(any_, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def _close_files(spec: Mapping[str, Any]) -> list[Path]:
    """Make every file read-only, hide what is private, and lay a copy of the work over it.

    Return the empty folders that hide others.
    """
    box, work = Path(spec["box"]), Path(spec["work"])
    _mount_empty(box, spec["box_bytes"])
    _fill_box(spec)
    (box / "tried").touch()
    _bind(spec["tried"], box / "tried")
    devices = _make_devices(box / "dev")
    _set_read_only("/", recursive=True)
    _set_read_only(box, clear=True)
    _set_read_only(box / "tried", clear=True)
    with _held([*spec["keep"], spec["box"]]) as held:
        hidden = [Path(path) for path in spec["hide"] if _hide(Path(path), held, spec["box_bytes"])]
        work.mkdir(parents=True, exist_ok=True)
        _bind(f"{box}/work", work)
        _bind(str(devices), Path("/dev"))
    return hidden


def _note(attempts: Iterable[str], tried: Path) -> None:
    with tried.open("a") as output:
        output.writelines(f"{attempt[:200]!r}\n" for attempt in islice(attempts, 20))


def _list_orphans(program: int) -> Iterator[str]:
    """Yield the processes that have outlived their parent, and so became children of this one."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = folder.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and int(folder.name) != program:
                command = folder.joinpath("cmdline").read_bytes().decode(errors="replace")
                # A process that has ended has no command any more.
                if words := command.replace("\0", " ").split():
                    yield f"leave a process behind: {' '.join(words)}"


def _list_files(folders: Sequence[Path]) -> Iterator[str]:
    """Yield the files that were written to empty folders, whatever program wrote them."""
    for folder in folders:
        device = folder.stat().st_dev
        for where, names, files in os.walk(folder):
            names[:] = [name for name in names if os.lstat(f"{where}/{name}").st_dev == device]
            yield from (f"write {where}/{name}" for name in files)


def _fill_box(spec: Mapping[str, Any]) -> None:
    box = Path(spec["box"])
    for name in ("home", "tmp", "hook"):
        (box / name).mkdir()
    (box / "hook" / "sitecustomize.py").write_text(spec["hook"])
    if spec["is_copied"]:
        skipped = shutil.ignore_patterns(".git", ".venv", "venv", "node_modules", "__pycache__")
        shutil.copytree(spec["work"], box / "work", symlinks=True, ignore=skipped)
    else:
        (box / "work").mkdir()


def _make_devices(folder: Path) -> Path:
    """Make a /dev with the harmless devices only."""
    folder.mkdir()
    for name in DEVICES:
        (folder / name).touch()
        _bind(f"/dev/{name}", folder / name)
    (folder / "shm").mkdir()
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (folder / name).symlink_to(f"/proc/self/{target}")
    return folder


@contextlib.contextmanager
def _held(paths: Sequence[str]) -> Iterator[list[tuple[Path, str]]]:
    """Give each path a name that stays valid when another folder is laid over it."""
    descriptors = [os.open(path, os.O_PATH) for path in paths]
    try:
        yield [
            (Path(path), f"/proc/self/fd/{descriptor}")
            for path, descriptor in zip(paths, descriptors, strict=True)
        ]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _hide(path: Path, held: Sequence[tuple[Path, str]], size: int) -> bool:
    """Lay an empty folder over a path, and say so; what is to be kept shows through."""
    if not path.is_dir():
        return False
    _mount_empty(path, size)
    for target, source in held:
        if target.is_relative_to(path):
            target.mkdir(parents=True, exist_ok=True)
            _bind(source, target)
    return True


def _mount_empty(path: Path, size: int) -> None:
    options = f"size={size},mode=0700".encode()
    _mount(b"tmpfs", path, b"tmpfs", MS_NOSUID | MS_NODEV, options)


def _bind(source: str, target: Path) -> None:
    _mount(source.encode(), target, None, MS_BIND | MS_REC, None)


def _mount(source: bytes, path: Path, kind: bytes | None, flags: int, data: bytes | None) -> None:
    if _libc.mount(source, os.fsencode(path), kind, flags, data):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


def _set_read_only(path: str | Path, *, recursive: bool = False, clear: bool = False) -> None:
    attributes = struct.pack("QQQQ", *((0, 1) if clear else (MOUNT_ATTR_RDONLY, 0)), 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    where = os.fsencode(path)
    if _libc.syscall(MOUNT_SETATTR, AT_FDCWD, where, flags, attributes, len(attributes)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


def _give_up_rights(limits: Mapping[str, int]) -> None:
    """Drop every capability for good, and limit what one process can take."""
    capability = 0
    while _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


if __name__ == "__main__":
    main()
