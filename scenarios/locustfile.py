"""Simulated users on a healthy day: one thing to ask for, and a rate that follows a daily wave.

Run by Locust, by itself or in docker-compose.yml:

    locust --locustfile scenarios/locustfile.py --headless --host http://127.0.0.1:8080

Each user sends one request per second, however long the answers take, so there are as many users
as requests per second. A day lasts ``--period`` seconds. Where ``--auth`` is set the users log in
there first, and go on without when they cannot. The options also read USERS_* variables.
"""
# Locust has types for a part of what is used here, and for none where it is not installed.
# mypy: allow-untyped-calls, allow-subclassing-any

import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, LoadTestShape, constant_throughput, events

from randsvc.simulation.customers import (
    SIMULATED_OUTCOME,
    SIMULATED_USER,
    draw_features,
    draw_report_delay,
)
from randsvc.simulation.daily_wave import rate_at

# Where it is set, the file's age tells how long ago a user last had an answer: a container of
# users has no port to probe.
_HEARTBEAT = os.environ.get("USERS_HEARTBEAT")


# The one of randsvc.settings; the password of every user, known to everybody.
_PASSWORD = "random"  # noqa: S105
_REQUESTS_PER_VISIT = 10
"""On average; then the user logs out."""
_RENEWED_AT = 0.8
"""Part of the life of a token after which the user gets another."""


def ask(user: "RandomUser") -> None:
    """Ask for one random number, logged in where that can be done; report the truth later."""
    auth = user.environment.parsed_options.auth
    if auth and time.monotonic() >= user.renew_at:
        _log_in(user, auth)
    headers = {SIMULATED_USER: f"user-{id(user)}"}
    if user.token:
        headers["Authorization"] = f"Bearer {user.token}"
    answer = user.client.get("/random", params=draw_features(), headers=headers, name="/random")
    if answer.status_code == 200 and (seconds := draw_report_delay()) is not None:
        truth = {"id": answer.json()["id"], "actual": float(answer.headers[SIMULATED_OUTCOME])}
        gevent.spawn_later(seconds, user.client.post, "/feedback", json=truth)
    if random.random() * _REQUESTS_PER_VISIT < 1:
        user.token, user.renew_at = "", 0.0


def _log_in(user: "RandomUser", auth: str) -> None:
    user.token = ""
    credentials = {"user": f"user-{id(user)}", "password": _PASSWORD}
    answer = user.client.post(f"{auth.rstrip('/')}/login", json=credentials, name="/login")
    if answer.status_code == 200:
        granted = answer.json()
        user.token = granted["token"]
        user.renew_at = time.monotonic() + _RENEWED_AT * granted["expires_in"]


class RandomUser(FastHttpUser):
    """A user who asks once a second."""

    tasks = [ask]  # noqa: RUF012  # a list by Locust's own declaration
    wait_time = constant_throughput(1)
    token = ""
    renew_at = 0.0


class DailyWave(LoadTestShape):
    """As many users as the wave has requests per second, and never none."""

    def tick(self) -> tuple[int, float]:
        """Give the number of users now, and how many may come or go in a second."""
        return max(1, round(_rate_at(self.get_run_time(), self.runner))), 10


def _rate_at(seconds: float, of: Any) -> float:
    """Give the rate that the options of a runner or an environment ask for."""
    options = getattr(of, "environment", of).parsed_options
    return rate_at(seconds, mean=options.mean, amplitude=options.amplitude, period=options.period)


def _add_options(parser: Any) -> None:
    """Add what shapes the day to Locust's parser, which also reads environment variables."""
    for name, default, text in (
        ("mean", 15, "requests/s over a day"),
        ("amplitude", 10, "requests/s from the mean to the crest, and to the trough at the start"),
        ("period", 600, "seconds in a day"),
    ):
        variable = f"USERS_{name.upper()}"
        parser.add_argument(f"--{name}", type=float, default=default, env_var=variable, help=text)
    parser.add_argument(
        "--auth", default="", env_var="USERS_AUTH", help="URL that users log in at; empty: nowhere"
    )


def _refuse_an_impossible_day(environment: Any, **_: Any) -> None:
    """Stop before the first request where the options make no wave."""
    try:
        _rate_at(0, environment)
    except ValueError as error:
        sys.exit(f"locust: {error} (from --mean, --amplitude and --period, or USERS_*)")


def _beat(exception: BaseException | None, **_: Any) -> None:
    """Leave a sign of life after an answered request."""
    if _HEARTBEAT and exception is None:
        Path(_HEARTBEAT).touch()


events.init_command_line_parser.add_listener(_add_options)
events.init.add_listener(_refuse_an_impossible_day)
events.request.add_listener(_beat)
