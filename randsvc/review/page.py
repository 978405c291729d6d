"""Sections as a self-contained page, and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from randsvc.markdown import write_table
from randsvc.review.formatting import format_duration
from randsvc.review.section import Section
from randsvc.times import Span, format_time

__all__ = ("Page", "make_environment")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A report of a period; ``about`` follows the period under the title.

    ``unread`` are the sections that are only listed, with the reason why there is nothing to say.
    ``maker`` is the command that made it at the Unix time ``at``, from the URL ``prometheus``.
    """

    title: str
    period: Span
    about: str = ""
    short: Sequence[str]
    sections: Sequence[Section]
    unread: Sequence[Section] = ()
    maker: str
    prometheus: str
    at: float

    def to_html(self) -> str:
        """A page that loads nothing."""
        template = make_environment().get_template("page.html.j2")
        return template.render(self._content(), markup=Markup)

    def to_markdown(self) -> str:
        """The report as Markdown; a picture is a line of block characters."""
        template = make_environment(html=False).get_template("page.md.j2")
        return template.render(self._content(), write_table=write_table).rstrip() + "\n"

    def _content(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "begin": format_time(self.period.start),
            "end": format_time(self.period.end),
            "length": format_duration(self.period.seconds),
            "about": self.about,
            "short": self.short,
            "sections": self.sections,
            "unread": self.unread,
            "maker": self.maker,
            "prometheus": self.prometheus,
            "at": format_time(self.at),
        }


def make_environment(*packages: str, html: bool = True) -> Environment:
    """Give the templates of these packages, and those here."""
    loaders = [PackageLoader(package, "") for package in (*packages, "randsvc.review")]
    return Environment(
        loader=ChoiceLoader(loaders),
        # Markdown is not read by a browser.
        autoescape=html,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
