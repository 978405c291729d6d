"""Draws docs/images/review.png: the first part of the review of the simulated quarter.

    .venv/bin/python -m tests.support.review_picture

It runs the real Prometheus and Chromium.
"""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from randsvc.project import ROOT
from randsvc.stack.addresses import find_unused_ports
from randsvc.stack.build import build_programs
from tests.support.command_line import run_randsvc
from tests.support.quarter import END, START, Quarter, serve

WIDTH, MARGIN = 940, 16
"""Pixels of the page, and below the picture of the error budgets, where it is cut off."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = folder / "review.html"
        (port,) = find_unused_ports(1)
        with serve(Quarter(), build_programs(), folder, port) as url:
            period = ("--from", f"{START:.0f}", "--to", f"{END:.0f}")
            run_randsvc("review", *period, "--prometheus", url, "--output", page)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            view = browser.new_page(viewport={"width": WIDTH, "height": WIDTH})
            view.goto(page.as_uri())
            budgets = view.locator("figure").first.bounding_box()
            assert budgets
            height = budgets["y"] + budgets["height"] + MARGIN
            view.screenshot(
                path=ROOT / "docs/images/review.png",
                full_page=True,
                clip={"x": 0, "y": 0, "width": WIDTH, "height": height},
            )
            browser.close()


if __name__ == "__main__":
    main()
