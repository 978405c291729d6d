"""The runbooks of the alerts as pages, so that the link in a notification opens."""

from html import escape
from pathlib import Path

from aiohttp import web
from markdown_it import MarkdownIt

from randsvc.project import ROOT

__all__ = ("FOLDER", "PATH", "add_runbooks")

FOLDER = ROOT / "docs" / "runbooks"
PATH = "/runbooks"

_STYLE = """
body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff }
h1, code { overflow-wrap: anywhere } code { background: #f2f2f2; padding: .1em .3em }
a { color: #0b57a4 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181b1f } code { background: #2a2d33 } a { color: #7ab8ff }
}
"""


def add_runbooks(router: web.UrlDispatcher, folder: Path = FOLDER) -> None:
    """Serve each runbook of ``folder`` at ``/runbooks/NAME``, and their list at ``/runbooks/``.

    ``NAME.md`` is the same page, as that is how runbooks link to each other. The Markdown is
    rendered by markdown-it-py (which rich brings along) with HTML switched off.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")

    async def show_list(request: web.Request) -> web.Response:
        names = _list_names(folder)
        items = "".join(f'<li><a href="{name}">{name}</a></li>' for name in names)
        return _make_page("Runbooks", f"<h1>Runbooks</h1><ul>{items}</ul>")

    async def show(request: web.Request) -> web.Response:
        name = request.match_info["name"].removesuffix(".md")
        if name not in _list_names(folder):
            raise web.HTTPNotFound(
                text=f"no runbook {name!r} in {folder}; {PATH}/ lists all runbooks\n"
            )
        text = (folder / f"{name}.md").read_text(encoding="utf-8")
        back = f'<p><a href="{PATH}/">All runbooks</a></p>'
        return _make_page(name, markdown.render(text) + back)

    async def to_list(request: web.Request) -> web.Response:
        raise web.HTTPMovedPermanently(f"{PATH}/")

    router.add_get(PATH, to_list)
    router.add_get(f"{PATH}/", show_list)
    router.add_get(f"{PATH}/{{name}}", show)


def _list_names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.md"))


def _make_page(title: str, body: str) -> web.Response:
    return web.Response(
        text='<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>\n",
        content_type="text/html",
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )
