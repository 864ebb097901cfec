"""The HTML of reports: numbers, cards, tables and pictures put into ``report.html``, a template that escapes all text.

A report is one file: style sheet and pictures are inside, there is no script and nothing is loaded. It follows the
light or dark of the reader's system and prints on paper.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

FOLDER = Path(__file__).parent
CSS = Markup((FOLDER / "report.css").read_text())  # noqa: S704 - our own file
MACROS = Environment(loader=FileSystemLoader(FOLDER), autoescape=True).get_template("report.html").module
SVG = re.compile(r'<svg [^>]*aria-label="([^"]*)">.*?</svg>', re.DOTALL)

Text = str | Markup
Number = tuple[object, str]  # a value and what it means, for the row of numbers at the top


@dataclass(frozen=True)
class Card:
    """A part of a report. ``width``: "" for one column, "wide" for the whole width, "half" for half of it."""

    title: str
    body: Text
    note: Text = ""
    width: str = ""


def html(text: str, *values: object) -> Markup:
    """Return ``text``, HTML written in the code, with escaped ``values`` in its braces."""
    return Markup(text).format(*values)  # noqa: S704 - only the values come from outside


def page(title: str, heading: str, made: str, numbers: Iterable[Number], cards: Iterable[Card]) -> str:
    """Return a whole HTML page; ``made`` says when and with what."""
    return f"{MACROS.page(title, heading, made, CSS, MACROS.content(numbers, cards))}\n"


def page_part(numbers: Iterable[Number], cards: Iterable[Card], theme: str) -> str:
    """Return the report as a part of another page, whose ``theme`` is ``light`` or ``dark``.

    Drawings become pictures of their own there, because pages that clean foreign HTML remove SVG elements.
    """
    kind = "dark" if theme == "dark" else "light"

    def as_image(match: re.Match[str]) -> str:
        svg = match[0].replace(">", f' class="report {kind}"><style>{escape(str(CSS), quote=False)}</style>', 1)
        return f'<img src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}" alt="{match[1]}">'

    content = SVG.sub(as_image, str(MACROS.content(numbers, cards)))
    return f'<style>{CSS}</style><div class="report {kind}">{content}</div>'


def table(header: Sequence[str], rows: Iterable[Sequence[object]], left: Iterable[int] = (0,)) -> Markup:
    """Return a table that scrolls where it is too large; the columns ``left`` hold text, the others numbers."""
    return MACROS.table(header, rows, set(left))


def bullets(lines: Iterable[Text]) -> Markup:
    """Return a list of lines."""
    return MACROS.bullets(lines)


def folded(title: str, lines: Iterable[Text]) -> Markup:
    """Return a list of lines that opens on a click."""
    return MACROS.folded(title, lines)


def png_image(png: bytes, title: str, kind: str = "") -> Markup:
    """Return a PNG as an image inside the page; ``kind`` "small" keeps it from filling a wide card."""
    return MACROS.image(f"data:image/png;base64,{base64.b64encode(png).decode()}", title, kind)


def legend(*entries: tuple[str, str]) -> Markup:
    """Return patches of colour with their names; ``entries``: CSS colour and name."""
    return MACROS.legend(entries)
