"""The report inside another page: drawings become pictures, names stay text, and the theme is the page's."""

import base64
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from backend.dataset.report_html import as_html, as_part
from backend.mask2coco import main
from tests.label_folders import make_pair


@pytest.fixture
def report(tmp_path) -> dict:
    """Return the report on a set with a hostile video name and a copy of an image."""
    images, masks = make_pair(tmp_path, "<b>lek</b>", range(0, 800, 50), 2)
    for folder in (images, masks):
        (folder / "000990.png").write_bytes((folder / "000000.png").read_bytes())
    folder = tmp_path / "sets"
    given = ["--img-folder-path", str(images), "--mask-folder-paths", str(masks), "--workers", "1"]
    main([*given, "--json-path-train", str(folder / "s_train.json"), "--json-path-val", str(folder / "s_val.json")])
    return json.loads((folder / "s_report.json").read_text())


def test_copies_are_named_and_told(report):
    assert (report["duplicates"]["groups"], report["duplicates"]["images"]) == (1, 2)
    names = [image["file_name"] for image in report["duplicates"]["examples"][0]["images"]]
    assert [name[-10:] for name in names] == ["000000.png", "000990.png"]
    assert any("2 images show the same as another" in line for line in report["remarks"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_drawings_become_pictures_that_stand_alone(report, theme):
    part = as_part(report, theme)
    assert "<svg" not in part and f'class="report {theme}"' in part
    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', part)
    assert len(pictures) == as_html(report).count("<svg") == 8
    for picture in pictures:
        root = ElementTree.fromstring(base64.b64decode(picture))
        assert root.attrib["class"] == f"report {theme}"


def test_names_and_themes_from_outside_stay_text(report):
    for page in (as_html(report), as_part(report, '"><script>')):
        assert "<b>lek</b>" not in page and "<script" not in page
