"""The folder randsvc/telemetry, copied into another project where there is no randsvc."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

from randsvc.project import ROOT

FOLDER = ROOT / "randsvc/telemetry"
DEPENDENCIES = {"aiohttp", "opentelemetry", "psutil"}

MEDIA = """
import asyncio, sys

sys.modules["randsvc"] = None  # whoever imports it fails

from aiohttp import ClientSession, web
from media.measuring import ConfigurationError, Telemetry

telemetry = Telemetry(service="media", version="2.1")
plays = telemetry.meter.create_counter("media.plays", unit="{play}")
sizes = telemetry.meter.create_histogram(
    "media.clip.size", unit="By", explicit_bucket_boundaries_advisory=[10, 1000]
)


async def clip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(3):
        await response.write(b"frame")
    plays.add(1, {"media.kind": "clip"})
    sizes.record(15)
    return response


async def chat(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


app, clips = web.Application(), web.Application()
clips.router.add_get("/{id}", clip)
app.add_subapp("/clips", clips)
app.router.add_get("/chat", chat)
telemetry.install(app, metrics_path="/metrics")


async def main() -> None:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    async with ClientSession(f"http://{host}:{port}") as session:
        for number in range(4):
            async with session.get(f"/clips/{number}") as response:
                assert await response.read() == b"frame" * 3
        async with session.ws_connect("/chat") as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
        await asyncio.sleep(0.2)
        async with session.get("/metrics") as response:
            print(await response.text())
    await runner.cleanup()


asyncio.run(main())
"""


def test_an_application_is_measured_without_randsvc(tmp_path: Path) -> None:
    package = tmp_path / "media"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copytree(FOLDER, package / "measuring", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "main.py").write_text(MEDIA)
    environ = {name: text for name, text in os.environ.items() if "OTEL" not in name}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:media", "main.py"],
        cwd=tmp_path,
        env={**environ, "OTEL_METRICS_EXPORTER": "prometheus"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert 'media_plays_total{media_kind="clip"} 4' in lines
    assert 'media_clip_size_bytes_bucket{le="1000.0"} 4' in lines
    (clips,) = (
        line for line in lines if "request_duration_seconds_count" in line and "/clips" in line
    )
    assert 'http_route="/clips/{id}",http_response_status_code="200"' in clips
    assert clips.endswith(" 4")
    assert any('http_route="/chat",http_response_status_code="101"' in line for line in lines)
    assert "randsvc" not in done.stdout


def test_the_folder_imports_its_three_dependencies_and_nothing_else() -> None:
    imported = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).split(".")[0])
    assert imported - sys.stdlib_module_names == DEPENDENCIES
