"""Simulated users on a healthy day, whose request rate follows a daily wave.

Locust runs this file, here or in docker-compose.yml:

    locust --locustfile scenarios/locustfile.py --headless --host http://127.0.0.1:8080

Each user sends one request per second, whatever the latency, so the number of users is the request
rate. A day lasts ``--period`` seconds. With ``--auth`` the users log in there first; a user whose
login fails goes on without. USERS_* variables set the options too.
"""
# Locust has types for a part of what is used here, and for none where it is not installed.
# mypy: allow-untyped-calls, allow-subclassing-any

import os
import sys
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, LoadTestShape, constant_throughput, events

from randsvc.credentials import PASSWORD
from randsvc.simulation.behaviour import User, draw_features
from randsvc.simulation.daily_wave import compute_rate

# The file that each successful request touches. A container of users has no port to probe, so its
# health check looks at the age of the file.
_HEARTBEAT = os.environ.get("USERS_HEARTBEAT")


def request(client: "RandomUser") -> None:
    """Send one request for ``/random``, after a login if needed; report the ground truth later."""
    user = client.simulated
    auth = client.environment.parsed_options.auth
    if auth and user.wants_login:
        login = f"{auth.rstrip('/')}/login"
        response = client.client.post(login, json=user.credentials, name="/login")
        user.log_in(response.status_code, response.content)
    response = client.client.get(
        "/random", params=draw_features(), headers=user.headers, name="/random"
    )
    if feedback := user.receive(response.status_code, response.headers or {}, response.content):
        gevent.spawn_later(feedback.delay, client.client.post, "/feedback", json=feedback.body)


class RandomUser(FastHttpUser):
    """Locust's client of one simulated user, who sends one request per second."""

    tasks = [request]  # noqa: RUF012  # a list by Locust's own declaration
    wait_time = constant_throughput(1)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.simulated = User(f"user-{id(self)}", PASSWORD)


class DailyWave(LoadTestShape):
    """As many users as the wave has requests per second, at least one."""

    def tick(self) -> tuple[int, float]:
        """Return the number of users now, and how many may start or stop per second."""
        return max(1, round(_compute_rate(self.get_run_time(), self.runner))), 10


def _compute_rate(seconds: float, of: Any) -> float:
    """Return the request rate that the options of a runner or an environment set."""
    options = getattr(of, "environment", of).parsed_options
    return compute_rate(
        seconds, mean=options.mean, amplitude=options.amplitude, period=options.period
    )


def _add_options(parser: Any) -> None:
    """Add the options to Locust's parser, which also reads environment variables."""
    for name, default, text in (
        ("mean", 15, "mean requests/s over a day"),
        ("amplitude", 10, "requests/s from the mean to the peak, and to the trough at the start"),
        ("period", 600, "seconds in a day"),
    ):
        variable = f"USERS_{name.upper()}"
        parser.add_argument(f"--{name}", type=float, default=default, env_var=variable, help=text)
    parser.add_argument(
        "--auth",
        default="",
        env_var="USERS_AUTH",
        help="URL where users log in; empty for no login",
    )


def _refuse_an_impossible_day(environment: Any, **_: Any) -> None:
    """Exit before the first request if the options make no wave."""
    try:
        _compute_rate(0, environment)
    except ValueError as error:
        sys.exit(f"locust: {error} (from --mean, --amplitude and --period, or USERS_*)")


def _beat(exception: BaseException | None, **_: Any) -> None:
    """Touch the heartbeat file after a successful request."""
    if _HEARTBEAT and exception is None:
        Path(_HEARTBEAT).touch()


events.init_command_line_parser.add_listener(_add_options)
events.init.add_listener(_refuse_an_impossible_day)
events.request.add_listener(_beat)
