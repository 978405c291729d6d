import json
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from randsvc.service.tokens import Tokens
from randsvc.settings import AuthSettings, Settings
from tests.support.command_line import refuse, run_randsvc
from tests.support.service import Service, local, running_service

SECRET = "s" * 32
FREE = {"RANDSVC_AUTH_PORT": "0", "RANDSVC_AUTH_MANAGEMENT_PORT": "0"}
GOOD = b'{"user": "ada", "password": "random"}'


def log_in(url: str) -> str:
    with urlopen(Request(f"{url}/login", GOOD)) as response:
        token: str = json.load(response)["token"]
        return token


def ask(service: Service, token: str) -> int:
    try:
        url, headers = f"{service.public}/random", {"Authorization": f"Bearer {token}"}
        with urlopen(Request(url, headers=headers)) as response:
            return int(response.status)
    except HTTPError as error:
        with error:
            return error.code


def metrics(management: str) -> str:
    with urlopen(f"{management}/metrics") as response:
        text: str = response.read().decode()
        return text


@pytest.mark.process
def test_a_token_of_auth_is_taken_by_the_service_that_shares_its_secret() -> None:
    with (
        running_service(command="auth", RANDSVC_AUTH_SECRET=SECRET) as auth,
        running_service(RANDSVC_AUTH_SECRET=SECRET) as service,
    ):
        token = log_in(auth.public)
        assert ask(service, token) == 200
        assert ask(service, token + "x") == 401
        measured = metrics(auth.management)
        assert 'service_name="auth"' in measured
        assert 'http_route="/login"' in measured
        assert auth.stop() == 0


@pytest.mark.process
def test_auth_beside_the_service_logs_its_users_in() -> None:
    with running_service("--with-auth", "--users", "20", **FREE) as service:
        auth = service.event("serving")
        assert auth["service"] == "auth"
        assert ask(service, log_in(local(auth["public"]))) == 200
        time.sleep(1.5)
        measured = metrics(local(auth["management"]))
        (logins,) = (
            line
            for line in measured.splitlines()
            if line.startswith("http_server_request_duration_seconds_count") and "/login" in line
        )
        assert float(logins.split()[-1]) > 3
        assert 'status_code="401"' not in metrics(service.management)
        assert service.stop() == 0


@pytest.mark.process
def test_auth_beside_the_service_uses_the_secret_that_is_set() -> None:
    with running_service("--with-auth", RANDSVC_AUTH_SECRET=SECRET, **FREE) as service:
        auth = service.event("serving")
        assert Tokens(SECRET).verify(log_in(local(auth["public"]))) == "ada"


@pytest.mark.process
def test_auth_beside_workers_shares_one_secret_with_them() -> None:
    with running_service(
        "--with-auth", "--workers", "2", OTEL_METRICS_EXPORTER="none", **FREE
    ) as service:
        auth = service.event("serving")
        service.wait_until_ready()
        token = log_in(local(auth["public"]))
        assert {ask(service, token) for _ in range(10)} == {200}
        assert service.stop() == 0


@pytest.mark.parametrize(
    ("command", "environ", "said"),
    [
        ("auth", {"RANDSVC_AUTH_PORT": "x"}, ["RANDSVC_AUTH_PORT", "x"]),
        ("auth", {"RANDSVC_AUTH_LIFETIME": "0"}, ["RANDSVC_AUTH_LIFETIME", "0"]),
        ("auth", {"RANDSVC_AUTH_PRT": "1"}, ["RANDSVC_AUTH_PRT", "RANDSVC_AUTH_PORT"]),
        ("serve", {"RANDSVC_AUTH_URL": "auth:8081"}, ["RANDSVC_AUTH_URL", "auth:8081", "http://"]),
        ("serve", {"RANDSVC_AUTH_URL": "ftp://auth"}, ["RANDSVC_AUTH_URL", "ftp://auth"]),
        (
            "serve",
            {"RANDSVC_PROMETHEUS_URL": "prom"},
            ["RANDSVC_PROMETHEUS_URL", "prom", "http://"],
        ),
        ("auth", {"RANDSVC_AUTH_LINKS": "Grafana"}, ["RANDSVC_AUTH_LINKS", "'Grafana'", "=URL"]),
        ("serve", {"RANDSVC_MODEL_BUDGET": "inf"}, ["RANDSVC_MODEL_BUDGET", "inf"]),
    ],
)
def test_a_setting_that_cannot_be_read_is_one_line(
    command: str, environ: dict[str, str], said: list[str]
) -> None:
    line = refuse(command, environ=environ)
    for part in said:
        assert part in line


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "environ", "said"),
    [
        ("auth", {}, ["RANDSVC_AUTH_SECRET is not set", "32 bytes"]),
        ("auth", {"RANDSVC_AUTH_SECRET": "guess"}, ["RANDSVC_AUTH_SECRET has 5 bytes"]),
        ("serve", {"RANDSVC_AUTH_SECRET": "guess"}, ["RANDSVC_AUTH_SECRET has 5 bytes"]),
        (
            "serve",
            {"RANDSVC_WITH_AUTH": "1", "OTEL_SERVICE_NAME": "mine"},
            ["OTEL_SERVICE_NAME=mine", "RANDSVC_WITH_AUTH", "randsvc auth"],
        ),
    ],
)
def test_a_service_that_cannot_start_says_why_in_one_line(
    command: str, environ: dict[str, str], said: list[str]
) -> None:
    free = {"RANDSVC_PORT": "0", "RANDSVC_MANAGEMENT_PORT": "0", **FREE}
    line = refuse(command, environ={**free, "OTEL_METRICS_EXPORTER": "none", **environ}, apart=True)
    assert "guess" not in line
    for part in said:
        assert part in line


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RANDSVC_PROMETHEUS_URL", "http://me:hunter2@host:x"),
        ("RANDSVC_PROMETHEUS_URL", "me:hunter2@host"),
        ("RANDSVC_AUTH_URL", "ftp://me:hunter2@host"),
        ("RANDSVC_LINKS", "Grafana=http://me:hunter2@host"),
        ("RANDSVC_AUTH_SECRTE", "hunter2"),
        ("RANDSVC_FEEDBACK_SECRET", "hunter2"),
        ("RANDSVC_PROMETHEUS_HEADERS", "Authorization hunter2"),
    ],
)
@pytest.mark.parametrize("by_option", [False, True], ids=["variable", "option"])
def test_a_secret_that_cannot_be_used_is_not_shown(
    variable: str, value: str, *, by_option: bool
) -> None:
    option = "--" + variable.removeprefix("RANDSVC_").lower().replace("_", "-")
    environ = {"RANDSVC_PORT": "0", "RANDSVC_MANAGEMENT_PORT": "0", "OTEL_METRICS_EXPORTER": "none"}
    result = run_randsvc(
        "serve",
        *([f"{option}={value}"] if by_option else []),
        environ={**environ, **({} if by_option else {variable: value})},
        # Only the service itself sees that a secret is too short.
        apart=variable == "RANDSVC_FEEDBACK_SECRET",
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert (option if by_option else variable) in result.stderr or variable in result.stderr
    assert "hunter2" not in result.stderr + result.stdout


@pytest.mark.parametrize("command", ["serve", "auth"])
def test_unless_asked_to_it_listens_on_loopback_only(command: str) -> None:
    settings = Settings() if command == "serve" else AuthSettings()
    assert settings.host == settings.management_host == "127.0.0.1"
