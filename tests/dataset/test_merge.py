"""COCO files of other tools merge by class name, and the first version's mistakes are recognised and put right."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from backend.dataset.merge import boxes_are_corners, find_image, match_name, read_coco
from backend.mask2coco import main
from backend.masks import rle
from backend.masks.indexed import read_labels
from backend.project.errors import InputError
from tests.label_folders import make_pair

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools
SQUARE = [[10, 10, 30, 10, 30, 34, 10, 34]]  # box 10 10 20 24, area 480


@pytest.fixture
def lek(tmp_path) -> Path:
    """Return a project with twelve frames of four birds."""
    make_pair(tmp_path, "lek", range(0, 1200, 100), 4)
    return tmp_path


def annotation(image: int, **changes) -> dict:
    return {"id": image * 10, "image_id": image, "category_id": 1, "bbox": [10, 10, 20, 24], "area": 480,
            "iscrowd": 0, "segmentation": SQUARE, **changes}  # fmt: skip


def coco_file(lek: Path, name: str = "export.json", images: int = 3, classes=("ruff",), **changes) -> Path:
    """Write a COCO file over the first frames; ``changes`` go into every annotation."""
    content = {
        "images": [{"id": k, "file_name": f"{k * 100:06d}.png", "width": 160, "height": 96} for k in range(images)],
        "annotations": [annotation(k, **changes) for k in range(images)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(classes, 1)],
    }
    path = lek / "exported_frames" / "lek" / name
    path.write_text(json.dumps(content))
    return path


def merged(lek: Path, *files: Path, **options) -> tuple[dict, dict]:
    """Merge files into one training file; return it and the report."""
    found = ["--merge", *map(str, files), "--json-path-train", str(lek / "sets" / "m_train.json"), "--train-ratio", "1"]
    found += ["--workers", "1"]
    for option, value in options.items():
        found += [f"--{option.replace('_', '-')}", *([] if value is True else map(str, np.atleast_1d(value)))]
    main(found)
    return tuple(json.loads((lek / "sets" / f"m_{part}.json").read_text()) for part in ("train", "report"))


def test_classes_meet_by_name_whatever_their_ids_and_letters(lek):
    first = coco_file(lek, "a.json", classes=("ruff", "unused"))
    second = coco_file(
        lek, "b.json", classes=("Reeve", " RUFF "), category_id=2, segmentation=[[60, 60, 90, 60, 90, 90]]
    )
    third = coco_file(lek, "c.json", classes=("Reeve",), segmentation=[[90, 10, 120, 10, 120, 40]])
    train, _ = merged(lek, first, second, third)
    assert [(entry["id"], entry["name"]) for entry in train["categories"]] == [(1, "ruff"), (2, "Reeve")]
    assert len(train["images"]) == 3
    by_image = [[a["category_id"] for a in train["annotations"] if a["image_id"] == k] for k in (1, 2, 3)]
    assert by_image == [[1, 1, 2]] * 3


def test_polygons_drawn_by_a_person_are_kept_and_measured(lek):
    train, _ = merged(lek, coco_file(lek, bbox=[0, 0, 1, 1], area=1))
    assert train["annotations"][0]["segmentation"] == SQUARE
    assert train["annotations"][0]["bbox"] == [10, 10, 20, 24]
    assert train["annotations"][0]["area"] == 480


def test_the_first_versions_files_are_recognised_and_converted(lek):
    train, report = merged(lek, coco_file(lek, bbox=[10, 10, 30, 34], area=20 * 24))
    assert train["annotations"][0]["bbox"] == [10, 10, 20, 24]
    assert any("boxes are corners" in line and "first version" in line for line in report["remarks"])
    assert min(entry["id"] for entry in train["images"] + train["annotations"]) == 1


def test_right_boxes_at_the_corner_of_the_picture_are_not_taken_for_corners():
    images = [{"id": 1, "width": 100, "height": 100}]
    at_corner = annotation(1, bbox=[0, 0, 20, 24], segmentation=[[0, 0, 20, 0, 20, 24, 0, 24]])
    assert not boxes_are_corners(images, {1: [at_corner]})
    assert not boxes_are_corners(images, {1: [annotation(1)]})
    assert boxes_are_corners(
        images, {1: [annotation(1, bbox=[10, 10, 30, 34]), at_corner, annotation(1, bbox=[10, 10, 30, 34])]}
    )


@pytest.mark.parametrize("form", ["polygons", "rle"])
def test_runs_of_both_kinds_become_what_was_asked_for(lek, form, capsys):
    mask = np.zeros((96, 160), bool)
    mask[10:40, 20:50] = True
    mask[20:25, 30:35] = False
    plain = np.diff(np.flatnonzero(np.diff(mask.T.ravel(), prepend=0, append=2)), prepend=0).tolist()
    first = coco_file(lek, "a.json", segmentation={"size": [96, 160], "counts": rle.encode(mask).decode()})
    second = coco_file(lek, "b.json", segmentation={"size": [96, 160], "counts": plain})
    train, _ = merged(lek, first, second, segmentation=form)
    assert {type(a["segmentation"]) for a in train["annotations"]} == {list if form == "polygons" else dict}
    coco = COCO(str(lek / "sets" / "m_train.json"))
    capsys.readouterr()
    assert all((coco.annToMask(a) == mask).all() for a in train["annotations"])


def test_crowds_stay_crowds_in_runs(lek):
    train, report = merged(lek, with_crowds(coco_file(lek), 1))
    crowds = [a for a in train["annotations"] if a["iscrowd"] == 1]
    assert len(crowds) == 1 and all(isinstance(a["segmentation"], dict) for a in crowds)
    assert any("1 masks are crowds (iscrowd 1)" in line for line in report["remarks"])


def with_crowds(path: Path, n: int) -> Path:
    """Mark the first ``n`` annotations of a COCO file as crowds."""
    content = json.loads(path.read_text())
    for annotation in content["annotations"][:n]:
        annotation["iscrowd"] = 1
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("n", [2, 3])
def test_a_file_in_which_most_masks_are_crowds_is_refused_or_taken_as_animals(lek, n):
    file = with_crowds(coco_file(lek), n)
    with pytest.raises(InputError, match=rf"{n} of 3 masks are crowds .* --crowds-are-animals takes each"):
        merged(lek, file)
    assert not (lek / "sets" / "m_train.json").exists()
    train, report = merged(lek, file, crowds_are_animals=True)
    assert [a["iscrowd"] for a in train["annotations"]] == [0, 0, 0]
    assert any(f"{n} crowds (iscrowd 1) are taken as animals" in line for line in report["remarks"])


def test_boxes_without_masks_are_dropped_and_counted(lek):
    train, report = merged(lek, coco_file(lek, segmentation=[]), coco_file(lek, "b.json", category_id=1))
    assert len(train["annotations"]) == 3
    assert report["dropped_masks"] == {"a box without a mask": 3}


def test_our_own_sets_merge_with_their_videos_frames_and_objects(lek):
    folders = [
        "--img-folder-path",
        str(lek / "exported_frames" / "lek"),
        "--mask-folder-paths",
        str(lek / "segannot" / "lek"),
    ]
    first = lek / "sets" / "first_train.json"
    main([*folders, "--json-path-train", str(first), "--train-ratio", "1", "--workers", "1"])
    train, _ = merged(lek, first)
    old = json.loads(first.read_text())
    assert train["images"] == old["images"]
    assert train["annotations"] == old["annotations"]


def test_folders_and_files_make_one_set(lek):
    make_pair(lek, "other", range(0, 500, 100), 2)
    given = ["--img-folder-path", str(lek / "exported_frames" / "other")]
    given += ["--mask-folder-paths", str(lek / "segannot" / "other"), "--merge", str(coco_file(lek))]
    main([*given, "--json-path-train", str(lek / "sets" / "both_train.json"), "--train-ratio", "1", "--workers", "1"])
    train = json.loads((lek / "sets" / "both_train.json").read_text())
    assert [image["video"] for image in train["images"]] == ["other"] * 5 + ["lek"] * 3
    labels = read_labels(lek / "segannot" / "other" / "000000.png")
    assert train["annotations"][0]["area"] == (labels == 1).sum()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"segmentation": [[1, 2, 3]]}, "annotation 0 of .*000000.png: a polygon needs at least three points"),
        ({"segmentation": {"size": [1, 1], "counts": [1]}}, "the mask's size"),
        ({"category_id": 7}, "annotation 0 of .*export.json: no category"),
    ],
)
def test_annotations_that_cannot_be_used_are_problems(lek, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        merged(lek, coco_file(lek, **changes), coco_file(lek, "sound.json"))


def test_an_image_that_is_nowhere_or_of_another_size_is_a_problem(lek):
    path = coco_file(lek)
    path.write_text(path.read_text().replace("000100.png", "gone.png").replace('"width": 160', '"width": 161', 1))
    with pytest.raises(InputError, match=r"masks without an image: gone\.png .*160 x 96, its JSON says 161 x 96"):
        merged(lek, path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is no JSON"),
        ("[]", "is no COCO JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"images": [{"id": [], "file_name": "a", "width": 1, "height": 1}]}', "is no COCO JSON"),
        ('{"images": []}', "lacks 'categories'"),
        ('{"images": [], "annotations": [], "categories": []}', "holds no images"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "is no COCO JSON"),
        (
            '{"images": [{"id": 1, "file_name": "a", "width": 1, "height": 1}, {"id": 1, "file_name": "b", "width": 1, '
            '"height": 1}], "annotations": [], "categories": []}',
            "1 image ids are used twice, such as 1",
        ),
        ('{"images": [{"id": 1, "file_name": "a", "width": 1e9, "height": 1e9}]}', "'a' is 1000000000 x 1000000000"),
    ],
)
def test_files_that_are_no_coco_are_refused(tmp_path, text, complaint):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_coco(tmp_path / "x.json")


@pytest.mark.parametrize("name", ["images/1.png", "1.png", "..\\\\upload\\\\1.png", "/elsewhere/1.png"])
def test_images_are_looked_for_where_tools_put_them(tmp_path, name):
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images" / "1.png").touch()
    found = find_image(tmp_path / "annotations" / "x.json", name, [])
    assert found == str(tmp_path / "images" / "1.png")


@pytest.fixture
def two_leks(tmp_path) -> Path:
    """Return a folder with the frames of two videos, called alike, and a COCO file of each in ``exports``."""
    make_pair(tmp_path, "lek", range(0, 300, 100), 4)
    make_pair(tmp_path, "south", range(0, 300, 100), 4)
    (tmp_path / "exports").mkdir()
    for name in ("lek", "south"):
        coco_file(tmp_path).rename(tmp_path / "exports" / f"{name}.json")
    return tmp_path


def test_frames_of_two_videos_called_alike_are_never_taken_for_each_other(two_leks):
    files = [two_leks / "exports" / f"{name}.json" for name in ("lek", "south")]
    folders = [str(two_leks / "exported_frames" / name) for name in ("lek", "south")]
    with pytest.raises(InputError, match=r"6 image names that do not tell which file is meant .*/lek/000000.png or "):
        merged(two_leks, *files, merge_images=folders)
    assert not (two_leks / "sets" / "m_train.json").exists()
    beside = [path.rename(Path(folder) / path.name) for path, folder in zip(files, folders, strict=True)]
    train, _ = merged(two_leks, *beside)
    assert [image["file_name"] for image in train["images"]] == [
        f"../exported_frames/{name}/{number:06d}.png" for name in ("lek", "south") for number in (0, 100, 200)
    ]
    assert [one["image_id"] for one in train["annotations"]] == [1, 2, 3, 4, 5, 6]


def test_the_file_that_a_json_itself_names_is_not_another_of_the_same_name(two_leks):
    ours = two_leks / "exports" / "lek.json"
    ours.write_text(ours.read_text().replace('"file_name": "', '"file_name": "../exported_frames/lek/'))
    other = two_leks / "exports" / "south.json"
    train, _ = merged(two_leks, ours, other, merge_images=two_leks / "exported_frames" / "south")
    assert [image["video"] for image in train["images"]] == ["lek"] * 3 + ["south"] * 3
    assert [one["image_id"] for one in train["annotations"]] == [1, 2, 3, 4, 5, 6]


def test_copies_of_an_image_are_the_same_image(two_leks):
    frames = two_leks / "exported_frames"
    shutil.copytree(frames / "lek", two_leks / "copy")
    train, _ = merged(two_leks, two_leks / "exports" / "lek.json", merge_images=[frames / "lek", two_leks / "copy"])
    assert [image["file_name"] for image in train["images"]] == [
        f"../exported_frames/lek/{number:06d}.png" for number in (0, 100, 200)
    ]


def test_two_names_that_lead_to_one_file_are_a_problem(lek):
    path = coco_file(lek)
    path.write_text(path.read_text().replace("000100.png", "gone/000000.png"))
    with pytest.raises(InputError, match=r"2 image names .*000000.png and gone/000000.png of .*, both found as "):
        merged(lek, path)


def test_labels_of_an_image_that_is_not_in_the_file_are_a_problem(lek):
    path = coco_file(lek)
    path.write_text(path.read_text().replace('"image_id": 2', '"image_id": 9'))
    with pytest.raises(InputError, match="annotations of image 9, which .*export.json lacks"):
        merged(lek, path)


def test_names_match_without_regard_to_case():
    assert match_name(" Ruff", ["duck", "ruff "]) == 2
    assert match_name("swan", ["duck"]) is None


@pytest.mark.parametrize(
    ("in_json", "on_disk"),
    [
        ("/data/local-files/?d=f_1.png", "f_1.png"),
        ("/data/local-files/?d=set/f_1.png", "f_1.png"),
        ("/data/local-files/?d=my%20set/f%201.png", "my set/f 1.png"),
        ("f%20%C3%BC.png", "f \u00fc.png"),
        ("f%20%C3%BC.png", "fu\u0308.png".replace("f", "f ")),
        ("fu\u0308_1.png", "f\u00fc_1.png"),
        ("f\u00fc_1.png", "fu\u0308_1.png"),
        ("sub\\f_1.png", "sub/f_1.png"),
        ("a%20b.png", "a%20b.png"),
    ],
)
def test_an_image_is_found_however_its_name_is_coded(tmp_path, in_json, on_disk):
    path = tmp_path / on_disk
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"image")
    assert find_image(tmp_path / "a.json", in_json, []) == str(path)


def test_a_name_as_it_stands_comes_before_its_decoded_form(tmp_path):
    for name in ("a%20b.png", "a b.png"):
        (tmp_path / name).write_bytes(name.encode())
    assert find_image(tmp_path / "a.json", "a%20b.png", []) == str(tmp_path / "a%20b.png")
    assert find_image(tmp_path / "a.json", "a b.png", []) == str(tmp_path / "a b.png")
    assert find_image(tmp_path / "a.json", "http://[x/?d=", []) is None
