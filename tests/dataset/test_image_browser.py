"""A finished set is found again, filtered without reading its polygons, and drawn only from allowed folders."""

import json
from pathlib import Path

import numpy as np
import pytest

from backend.dataset.image_browser import SetFile, finished_sets
from backend.dataset.image_records import Flag
from backend.mask2coco import main
from backend.masks.indexed import read_labels, write_labels
from backend.project.errors import InputError
from tests.label_folders import make_pair


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return a project with a set of two videos, made by the script; one bird of one frame is in many parts."""
    root = tmp_path_factory.mktemp("browse")
    make_pair(root, "north", range(0, 1000, 50), 3, classes=("ruff", "reeve"))
    make_pair(root, "south", range(0, 600, 50), 1, classes=("ruff",))
    path = root / "segannot" / "south" / "000100.png"
    labels = read_labels(path)
    labels[2:90:12, 4:9] = 1
    write_labels(path, labels)
    given = []
    for option, place in (("--img-folder-path", "exported_frames"), ("--mask-folder-paths", "segannot")):
        given += [option, *(str(root / place / video) for video in ("north", "south"))]
    folder = root / "COCO_jsons"
    given += ["--json-path-train", str(folder / "lek_train.json"), "--json-path-val", str(folder / "lek_val.json")]
    main([*given, "--workers", "1"])
    return root


def parts(project: Path) -> list[tuple[SetFile, dict]]:
    """Return both files, each scanned and as plain JSON."""
    paths = [project / "COCO_jsons" / f"lek_{side}.json" for side in ("train", "val")]
    return [(SetFile(path), json.loads(path.read_text())) for path in paths]


def test_the_finished_set_is_found_with_its_files_and_report(project):
    (found,) = finished_sets(project / "COCO_jsons")
    assert (found.name, found.train.name, found.val.name) == ("lek", "lek_train.json", "lek_val.json")
    assert found.report["images"] == 32


def test_what_is_not_finished_is_not_found(project, tmp_path):
    for path in (project / "COCO_jsons").glob("lek*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    manifest = tmp_path / "lek.manifest.json"
    manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
    (tmp_path / "torn.manifest.json").write_text("{")
    assert finished_sets(tmp_path) == []
    assert finished_sets(tmp_path / "nowhere") == []


def test_every_image_and_annotation_is_where_the_scan_says(project):
    for scanned, truth in parts(project):
        assert [image.id for image in scanned.images] == [image["id"] for image in truth["images"]]
        found = [annotation for image in scanned.images for annotation in scanned.annotations(image)]
        assert found == truth["annotations"]
        assert scanned.classes == {1: "reeve", 2: "ruff"}


def test_filters_agree_with_the_file(project):
    flagged = 0
    for scanned, truth in parts(project):
        for image in truth["images"]:
            own = [annotation for annotation in truth["annotations"] if annotation["image_id"] == image["id"]]
            flags = {flag for annotation in own for flag in annotation.get("flags", [])}
            flagged += Flag.PARTS in flags
            shown = {
                "video": scanned.select(video=image["video"]),
                "class": scanned.select(category=1),
                "flag": scanned.select(flag=Flag.PARTS),
            }
            ids = {name: [each.id for each in images] for name, images in shown.items()}
            assert image["id"] in ids["video"]
            assert (image["id"] in ids["class"]) == any(annotation["category_id"] == 1 for annotation in own)
            assert (image["id"] in ids["flag"]) == (Flag.PARTS in flags)
    assert flagged == 1


def test_an_image_is_drawn_with_its_birds(project):
    (scanned, _), _ = parts(project)
    image = scanned.select(video="north")[0]
    drawn = scanned.draw(image, [project])
    assert drawn.shape == (96, 160, 3)
    labels = read_labels(project / "segannot" / "north" / f"{image.frame:06d}.png")
    from_disk = scanned.draw(image, [project])
    assert (drawn == from_disk).all() and len(np.unique(drawn[labels > 0])) > 3


def test_images_outside_the_allowed_folders_are_not_shown(project, tmp_path):
    (scanned, _), _ = parts(project)
    with pytest.raises(InputError, match="outside the allowed folders"):
        scanned.draw(scanned.images[0], [tmp_path])
