"""The runbooks as pages."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from randsvc.web.runbooks import add_runbooks

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client(
    aiohttp_client: Callable[[web.Application], Awaitable[Client]], tmp_path: Path
) -> Client:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "ShopDown.md").write_text(
        '# ShopDown\n\n- see [the other](ShopSlow.md): `x{a="b"}`\n'
    )
    (folder / "ShopSlow.md").write_text("# ShopSlow\n\n<script>alert(1)</script>\n")
    (tmp_path / "secret.md").write_text("# Secret\n")
    app = web.Application()
    add_runbooks(app.router, folder)
    return await aiohttp_client(app)


async def read(client: Client, path: str) -> tuple[int, str]:
    async with client.get(path) as answer:
        return answer.status, await answer.text()


async def test_a_runbook_is_rendered_from_its_markdown(client: Client) -> None:
    status, text = await read(client, "/runbooks/ShopDown")
    assert status == 200
    assert "<h1>ShopDown</h1>" in text
    assert "<code>x{a=&quot;b&quot;}</code>" in text


async def test_a_link_to_another_runbook_opens_it(client: Client) -> None:
    assert '<a href="ShopSlow.md">' in (await read(client, "/runbooks/ShopDown"))[1]
    assert (await read(client, "/runbooks/ShopSlow.md"))[0] == 200


@pytest.mark.parametrize("path", ["/runbooks", "/runbooks/"])
async def test_all_are_listed(client: Client, path: str) -> None:
    _, text = await read(client, path)
    assert '<a href="ShopDown">ShopDown</a>' in text
    assert '<a href="ShopSlow">ShopSlow</a>' in text


async def test_html_in_a_runbook_stays_text(client: Client) -> None:
    _, text = await read(client, "/runbooks/ShopSlow")
    assert "<script" not in text


@pytest.mark.parametrize("name", ["Nothing", "..%2Fsecret", "..%2Fsecret.md"])
async def test_an_unknown_runbook_is_not_found(client: Client, name: str) -> None:
    status, text = await read(client, f"/runbooks/{name}")
    assert status == 404
    assert "/runbooks/ lists all runbooks" in text
