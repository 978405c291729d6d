"""What a review looks like: a page, Markdown and JSON."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from markdown_it import MarkdownIt
from playwright.sync_api import Browser

from randsvc.histograms.binned import Bin, Binned
from randsvc.review import pictures, report
from randsvc.review.counts import Values
from randsvc.review.pictures import Picture
from randsvc.review.section import Section
from randsvc.times import Span
from tests.support.review_readings import GAP, nothing, readings

VOID = {"meta", "link", "br", "hr", "img", "input"}


READ = {"everything": readings(), "nothing": nothing()}
SOURCE, AT = "http://prometheus:9090", 1_780_008_060.0


@cache
def sections(name: str) -> list[Section]:
    return report.make_sections(READ[name])


def page(name: str = "everything") -> str:
    return report.to_html(READ[name], sections(name), SOURCE, AT)


def markdown(name: str = "everything") -> str:
    return report.to_markdown(READ[name], sections(name), SOURCE, AT)


def figures() -> dict[str, Any]:
    return report.to_json(READ["everything"], sections("everything"), SOURCE)


class Elements(HTMLParser):
    """Every element in order, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


both = pytest.mark.parametrize("name", READ)


@both
def test_every_element_is_closed_and_every_id_is_there_once(name: str) -> None:
    elements = Elements(page(name))
    assert elements.open == []
    ids = [attributes["id"] for _, attributes in elements.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@both
def test_the_page_refers_to_nothing_outside_of_it(name: str) -> None:
    text = page(name)
    for _, attributes in Elements(text).elements:
        for name in ("src", "href", "xlink:href", "data", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert not re.search(r"url\((?!#)|@import|<script|<link|<!ENTITY", text)


@both
def test_headings_come_in_order_and_the_language_is_declared(name: str) -> None:
    elements = Elements(page(name))
    assert elements.named("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in elements.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_pictures_say_in_words_what_they_show_and_tables_have_heads() -> None:
    elements = Elements(page())
    pictures = elements.named("svg")
    assert len(pictures) >= 9
    assert all(p["role"] == "img" and len(p["aria-label"] or "") > 20 for p in pictures)
    assert len(elements.named("caption")) == len(elements.named("table"))
    assert {each["scope"] for each in elements.named("th")} == {"row", "col"}


def test_a_picture_takes_every_colour_from_the_page() -> None:
    text = page()
    style, body = text.split("</style>", 1)
    assert not re.search(r"#[0-9a-fA-F]{6}\b", body)
    used = set(re.findall(r"var\(--([\w-]+)\)", body))
    for scheme in (style.split("@media")[0], style.split("@media")[1]):
        assert used <= set(re.findall(r"--([\w-]+):", scheme))


def test_text_from_prometheus_is_no_markup() -> None:
    text = page()
    assert "<b>" not in text
    assert "&lt;b&gt;Odd|" in text


def test_a_gap_is_drawn_as_a_gap_and_is_said() -> None:
    text = page()
    assert "no data" in text
    assert "Prometheus has no data of anything" in text
    assert "·" in markdown()


@pytest.mark.parametrize("end", [-20_000.0, 20_000.0])
def test_values_beyond_every_bin_are_drawn_all_the_same(end: float) -> None:
    read = readings()
    beyond = Binned((Bin(end, end + 1, 9.0),), 9 * end)
    read = replace(read, values=[beyond] * len(read.windows))
    (drift,) = (section for section in report.make_sections(read) if section.key == "drift")
    assert drift.figures["distance"] == 0


def test_nothing_is_drawn_in_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Values] = {}

    def lines(title: str, says: str, windows: Sequence[Span], series: Any, **_: Any) -> Picture:
        assert [GAP.covers(each) for each in windows] == [6 <= i < 8 for i in range(12)]
        drawn.update({f"{title}: {name}": values for name, values in series.items()})
        return Picture(title, says, "")

    monkeypatch.setattr(pictures, "draw_lines", lines)
    report.make_sections(readings())
    of_auth = {name for name in drawn if "login" in name}
    assert len(drawn) >= 12
    for name, values in drawn.items():
        # auth was seen all the time, but for the probes, which Prometheus would have recorded.
        assert np.isnan(values[6:8]).all() == (name not in of_auth), name
        assert np.isfinite(np.delete(values, [6, 7])).all(), name


def test_missing_series_are_said_in_one_sentence_each() -> None:
    for section in sections("nothing"):
        assert section.says
        assert not section.pictures
    text = markdown("nothing")
    assert "nan" not in text.lower()
    assert "None of 4 objectives could be judged." in text
    assert "Incidents are not known: Prometheus has no data of this period." in text
    assert "random-latency could not be judged: Prometheus has no series http_server_" in text
    assert "Fallback: Prometheus has no series randsvc_predictions_total of job randsvc" in text


def test_markdown_is_headings_paragraphs_tables_and_blocks() -> None:
    text = markdown()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = [token.type for token in tokens]
    read = sections("everything")
    assert kinds.count("table_open") == sum(len(section.tables) for section in read)
    assert kinds.count("fence") == sum(bool(p.spark) for s in read for p in s.pictures)
    assert [t.tag for t in tokens if t.type == "heading_open"] == ["h1"] + ["h2"] * len(read)
    assert "\n\n\n" not in text
    assert "html_block" not in kinds


def test_figures_are_plain_json() -> None:
    again = json.loads(json.dumps(figures(), allow_nan=False))
    random = again["sections"]["objectives"]["random-availability"]
    windows = 12
    assert (random["total"], random["bad"]) == (1002 * windows, 2 * windows)
    assert again["sections"]["fallback"]["share"] == pytest.approx(0.01)
    assert again["sections"]["drift"]["recorded"] == {"value baseline": [0.75, 1.25]}
    assert again["sections"]["coverage"]["randsvc"]["seen"] == pytest.approx(5 / 6)


def test_budgets_are_of_what_was_counted_in_the_period() -> None:
    objectives = figures()["sections"]["objectives"]
    assert objectives["random-availability"]["budget_left"] == pytest.approx(1 - 2 / 1002 / 0.005)
    # One in ten logins took longer than its 0.25 s: five times what may.
    assert objectives["login-latency"]["budget_left"] == pytest.approx(-4)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_alone_and_axe_finds_nothing(
    browser: Browser, tmp_path: Path, scheme: str
) -> None:
    file = tmp_path / "review.html"
    file.write_text(page())
    shown = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    requests: list[str] = []
    said: list[str] = []
    shown.on("request", lambda request: requests.append(request.url))
    shown.on("console", lambda message: said.append(message.text))
    shown.goto(file.as_uri())
    assert requests == [file.as_uri()]
    assert said == []
    # Its script is of the test's, not of the page's; the page allows none.
    checked = browser.new_context(bypass_csp=True, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    checked.goto(file.as_uri())
    found = Axe().run(checked)
    assert found.violations_count == 0, found.generate_report()
    checked.set_viewport_size({"width": 390, "height": 800})
    assert checked.evaluate("document.documentElement.scrollWidth") <= 390
