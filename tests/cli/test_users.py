"""The command that runs simulated users as a process."""

import signal
import subprocess
import sys
from urllib.request import urlopen

import pytest

from randsvc.stack.supervisor import wait_until
from tests.support.service import running_service

pytestmark = pytest.mark.process


def test_users_send_requests_until_sigterm() -> None:
    with running_service() as service:
        options = ("--number", "20", "--service", service.public, "--auth", "http://127.0.0.1:1")
        command = [sys.executable, "-m", "randsvc", "users", *options]
        with subprocess.Popen(command) as users:

            def is_requested() -> bool:
                with urlopen(f"{service.management}/metrics") as response:
                    return (
                        b'http_route="/random",http_response_status_code="200"' in response.read()
                    )

            wait_until(is_requested, within=60)
            users.send_signal(signal.SIGTERM)
            assert users.wait(60) == 0
