"""Names and messages are shown on pages as they are."""

import re

import pytest

from gui.widgets.job_view import escape

JOINER = "\u2060"


@pytest.mark.parametrize("name", [":material/home:", "a :smile: b.mp4", "x:+1:", ":streamlit:"])
def test_a_name_that_looks_like_an_icon_is_shown_as_text(name):
    shown = re.sub(r"\\(.)", r"\1", escape(name))  # as Markdown reads it
    assert not re.search(r":[\w+-]+(/[\w+-]+)?:", shown)
    assert shown.replace(JOINER, "") == name


@pytest.mark.parametrize("name", ["05:30:00.mp4", "C: drive", "lek 1 (2): a"])
def test_other_colons_stay_as_they_are(name):
    assert re.sub(r"\\(.)", r"\1", escape(name)).replace(JOINER, "") == name
