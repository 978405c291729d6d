"""The command line as a person types it."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

from randsvc.cli.main import main
from randsvc.project import ROOT

__all__ = ("refuse", "run_randsvc")


def run_randsvc(
    *arguments: str | Path,
    environ: Mapping[str, str] | None = None,
    apart: bool = False,
    before: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run ``randsvc`` with arguments, and give its exit code and what it wrote.

    It runs in this process, which saves the start of another. It runs ``apart`` in a process of its
    own, as it does with code to run ``before`` it.
    """
    command = [*map(str, arguments)]
    if apart or before:
        code = f"import sys\n{before}\nfrom randsvc.cli.main import main\nsys.exit(main())"
        return subprocess.run(
            [sys.executable, "-P", "-c", code, *command],
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    out, err = io.StringIO(), io.StringIO()
    returncode = 0
    with (
        patch.dict(os.environ, environ or {}),
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(command)
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=err)
                returncode = 1
            else:
                returncode = end.code or 0
    return subprocess.CompletedProcess(command, returncode, out.getvalue(), err.getvalue())


def refuse(
    *arguments: str | Path,
    environ: Mapping[str, str] | None = None,
    apart: bool = False,
    before: str = "",
) -> str:
    """Run a command that fails, and give the one line that says so."""
    done = run_randsvc(*arguments, environ=environ, apart=apart, before=before)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line
