"""Pages of reports: text stays text, nothing is loaded from elsewhere, and paper and dark screens are thought of."""

from html.parser import HTMLParser

from backend.reports.html_page import Card, bullets, folded, html, legend, page, page_part, png_image, table
from backend.reports.svg import level_bars

HOSTILE = '"><script>alert(1)</script><b>&'
VOID = {"meta", "img", "br"}


class Tags(HTMLParser):
    """Collects tags, their attributes and the text; refuses tags that are not closed in order."""

    def __init__(self, content: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(content)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def cards() -> list[Card]:
    """Return a card of each kind of content, with hostile text in every place."""
    return [
        Card(HOSTILE, bullets([HOSTILE, html("<code>{}</code>", HOSTILE)]), HOSTILE),
        Card("table", table([HOSTILE, "n"], [[HOSTILE, 1], [HOSTILE, None]]), legend(("red", HOSTILE)), "wide"),
        Card("folded", folded(HOSTILE, [HOSTILE]), "", "half"),
        Card("image", png_image(b"png", HOSTILE, "small")),
        Card("drawing", level_bars([HOSTILE], {HOSTILE: [3]}, ("red",))),
    ]


def test_text_stays_text_everywhere():
    whole = Tags(page(HOSTILE, HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)], cards()))
    assert "script" not in whole.tags and "b" in whole.tags
    assert whole.tags.count("b") == 1, "the number's own"
    assert whole.text.count(HOSTILE) >= 12
    part = page_part([(HOSTILE, HOSTILE)], cards(), HOSTILE)
    assert "script" not in Tags(part).tags and 'class="report light"' in part


def test_a_page_loads_nothing():
    whole = Tags(page("a", "a", "now", [], cards()))
    loaded = [value for name, value in whole.attributes if name in ("src", "href", "srcset", "data")]
    assert loaded and all(value.startswith("data:image/png;base64,") for value in loaded)
    assert not {"link", "script", "iframe", "object"} & set(whole.tags)
    assert "url(" not in whole.text and "@import" not in whole.text


def test_a_page_prints_on_white_and_follows_light_and_dark():
    whole = page("a", "a", "now", [], [])
    assert "@media print" in whole and "light-dark(" in whole


def test_tables_keep_all_values_and_align_text_left():
    found = table(["name", "n", "zone"], [["a", 0, "x"], ["b", 2.5, "y"]], left=(0, 2))
    assert found.count("<tr>") == 3 and found.count('class="left"') == 6
    assert "<td>0</td>" in found and "<td>2.5</td>" in found
