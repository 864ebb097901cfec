"""`python -m backend.mask2coco` from folders to files: what it writes, and what it refuses in one line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from backend.dataset.outputs import Outputs
from backend.mask2coco import main
from backend.masks.indexed import read_labels, write_labels
from backend.masks.objects import MaskOrigin, write_frames
from backend.project.errors import InputError
from backend.project.manifest import verify
from tests.label_folders import make_pair

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> Path:
    """Return a project with two videos, forty frames each, one bird to four birds in a frame."""
    root = tmp_path_factory.mktemp("untouched")
    for video, step in (("lek-north", 40), ("lek-south", 30)):
        make_pair(root, video, range(0, 40 * step, step), [1 + k % 4 for k in range(40)], classes=("ruff", "reeve"))
    return root


@pytest.fixture
def project(untouched, tmp_path) -> Path:
    """Return a copy of the project that a test may spoil."""
    return shutil.copytree(untouched, tmp_path / "project")


def arguments(project: Path, name: str = "lek", videos=("lek-north", "lek-south"), **options) -> list[str]:
    """Return a command line; ``options`` are added, True as a bare switch."""
    found = ["--img-folder-path", *(str(project / "exported_frames" / video) for video in videos)]
    found += ["--mask-folder-paths", *(str(project / "segannot" / video) for video in videos)]
    return found + outputs(project, name, **options)


def outputs(project: Path, name: str = "lek", **options) -> list[str]:
    folder = project / "COCO_jsons"
    found = ["--json-path-train", str(folder / f"{name}_train.json")]
    found += ["--json-path-val", str(folder / f"{name}_val.json"), "--workers", str(options.pop("workers", 1))]
    for option, value in options.items():
        found += [f"--{option.replace('_', '-')}", *([] if value is True else map(str, np.atleast_1d(value)))]
    return found


def load(project: Path, side: str, name: str = "lek") -> dict:
    return json.loads((project / "COCO_jsons" / f"{name}_{side}.json").read_text())


def written(project: Path) -> list[str]:
    folder = project / "COCO_jsons"
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock")) if folder.is_dir() else []


def quiet_coco(path: Path, capsys) -> COCO:
    coco = COCO(str(path))
    capsys.readouterr()
    return coco


@pytest.mark.parametrize("form", ["polygons", "rle"])
def test_masks_come_back_pixel_by_pixel_through_pycocotools(project, form, capsys):
    main(arguments(project, segmentation=form))
    folder = project / "COCO_jsons"
    instances = 0
    for side in ("train", "val"):
        coco = quiet_coco(folder / f"lek_{side}.json", capsys)
        for image in coco.loadImgs(coco.getImgIds()):
            labels = read_labels(project / "segannot" / image["video"] / f"{image['frame']:06d}.png")
            annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
            assert len(annotations) == len(np.unique(labels)) - 1
            for annotation in annotations:
                mask = labels == annotation["object"]
                assert (coco.annToMask(annotation) == mask).all()
                assert annotation["area"] == mask.sum()
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                size = [np.ptp(columns) + 1, np.ptp(rows) + 1]
                assert annotation["bbox"] == [columns[0], rows[0], *size]
                instances += 1
    assert instances > 100


def test_a_set_scores_one_against_itself(project, capsys):
    main(arguments(project))
    truth = quiet_coco(project / "COCO_jsons" / "lek_train.json", capsys)
    own = [
        {key: annotation[key] for key in ("image_id", "category_id", "segmentation", "bbox")} | {"score": 0.9}
        for annotation in truth.loadAnns(truth.getAnnIds())
    ]
    for kind in ("segm", "bbox"):
        score = COCOeval(truth, truth.loadRes(own), kind)
        score.evaluate()
        score.accumulate()
        score.summarize()
        assert score.stats[0] == 1.0


def test_ids_count_from_one_and_are_unique_over_both_files(project):
    main(arguments(project))
    train, val = load(project, "train"), load(project, "val")
    for key in ("images", "annotations"):
        ids = [entry["id"] for entry in train[key] + val[key]]
        assert ids == list(range(1, len(ids) + 1))
    assert [(entry["id"], entry["name"]) for entry in train["categories"]] == [(1, "reeve"), (2, "ruff")]
    assert train["categories"] == val["categories"]
    assert all(entry["supercategory"] == "bird" for entry in train["categories"])
    assert train["licenses"] and train["info"]["description"]
    images = {image["id"] for image in train["images"]}
    assert {annotation["image_id"] for annotation in train["annotations"]} <= images


def test_a_project_that_was_moved_still_finds_its_images(project, tmp_path_factory):
    main(arguments(project))
    moved = tmp_path_factory.mktemp("moved") / "project"
    shutil.move(project, moved)
    for side in ("train", "val"):
        for image in load(moved, side)["images"]:
            assert not os.path.isabs(image["file_name"])
            assert cv2.imread(str(moved / "COCO_jsons" / image["file_name"])).shape == (96, 160, 3)


def test_neighbouring_frames_never_sit_on_both_sides(tmp_path):
    make_pair(tmp_path, "dense", range(300), 2)
    make_pair(tmp_path, "sparse", range(0, 6000, 60), 3)
    main(arguments(tmp_path, videos=("dense", "sparse"), gap_frames=20, train_ratio=0.75, seed=5))
    frames = {
        side: [(image["video"], image["frame"]) for image in load(tmp_path, side)["images"]]
        for side in ("train", "val")
    }
    for video in ("dense", "sparse"):
        train, val = (np.array([frame for name, frame in frames[side] if name == video]) for side in ("train", "val"))
        assert np.abs(train[:, None] - val[None, :]).min() > 20
        assert 0.15 < len(val) / (len(val) + len(train)) < 0.35


def test_whole_videos_stay_on_one_side(project):
    main(arguments(project, split="videos", train_ratio=0.5))
    sides = [{image["video"] for image in load(project, side)["images"]} for side in ("train", "val")]
    assert all(len(videos) == 1 for videos in sides) and sides[0] != sides[1]


def test_a_ratio_of_one_writes_no_validation_file(project):
    main(arguments(project, train_ratio=1))
    assert written(project) == ["lek.manifest.json", "lek_report.html", "lek_report.json", "lek_train.json"]
    assert len(load(project, "train")["images"]) == 80


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(project):
    main(arguments(project, "one", seed=3))
    main(arguments(project, "two", seed=3, workers=2))
    main(arguments(project, "other", seed=4))
    folder = project / "COCO_jsons"
    for side in ("train", "val"):
        one, two, other = ((folder / f"{name}_{side}.json").read_bytes() for name in ("one", "two", "other"))
        assert one.replace(b"Lektrack one", b"Lektrack two") == two
        assert one.replace(b"Lektrack one", b"Lektrack other") != other


def test_the_manifest_beside_the_files_verifies_and_notices_a_change(project):
    main(arguments(project))
    manifest = project / "COCO_jsons" / "lek.manifest.json"
    found = verify(manifest)
    assert sorted(found.files) == ["lek_report.html", "lek_report.json", "lek_train.json", "lek_val.json"]
    assert found.counts["images"] == 80
    with open(project / "COCO_jsons" / "lek_val.json", "r+b") as file:
        file.write(b" ")
    with pytest.raises(InputError, match="lek_val"):
        verify(manifest)


def test_specks_are_dropped_and_counted(project, capsys):
    path = project / "segannot" / "lek-north" / "000000.png"
    labels = read_labels(path)
    labels[2, 2] = 2
    labels[5:35, 150] = 3
    labels[0:3, 100:103] = 4
    write_labels(path, labels)
    main(arguments(project))
    report = load(project, "report")
    assert report["dropped_masks"] == {"under the smallest area": 2, "only one pixel wide or high": 1}
    printed = capsys.readouterr().out
    assert "2 masks dropped: under the smallest area of 16 px" in printed
    assert "1 mask dropped: only one pixel wide or high" in printed


def test_masks_by_class_value_need_names_and_take_them(tmp_path):
    make_pair(tmp_path, "old", range(0, 400, 10), 3, classes=())
    with pytest.raises(InputError, match=r"no objects\.json.*--annot-names"):
        main(arguments(tmp_path, videos=("old",), train_ratio=1))
    main(arguments(tmp_path, videos=("old",), train_ratio=1, annot_names=["ruff", "reeve", "ruff"]))
    train = load(tmp_path, "train")
    assert [entry["name"] for entry in train["categories"]] == ["ruff", "reeve"]
    assert {(a["object"], a["category_id"]) for a in train["annotations"]} == {(1, 1), (2, 2), (3, 1)}


def test_only_reviewed_masks_are_taken_when_asked_for(project):
    with pytest.raises(InputError, match=r"frames\.json"):
        main(arguments(project, reviewed_only=True))
    for video, step in (("lek-north", 40), ("lek-south", 30)):
        origins = dict.fromkeys(range(0, 40 * step, step), MaskOrigin.PROPAGATED)
        origins |= {0: MaskOrigin.HAND_MADE, 2 * step: MaskOrigin.REVIEWED}
        write_frames(project / "segannot" / video, origins)
    main(arguments(project, reviewed_only=True, train_ratio=1))
    found = [(image["video"], image["frame"]) for image in load(project, "train")["images"]]
    assert found == [("lek-north", 0), ("lek-north", 80), ("lek-south", 0), ("lek-south", 60)]


def no_mask(project: Path) -> None:
    (project / "segannot" / "lek-north" / "000040.png").unlink()


def no_image(project: Path) -> None:
    (project / "exported_frames" / "lek-north" / "000040.png").unlink()


def other_size(project: Path) -> None:
    write_labels(project / "segannot" / "lek-north" / "000040.png", np.zeros((96, 159), np.uint8))


def unknown_object(project: Path) -> None:
    write_labels(project / "segannot" / "lek-north" / "000040.png", np.full((96, 160), 77, np.uint8))


def mixed_numbers(project: Path) -> None:
    shutil.copy(
        project / "exported_frames" / "lek-north" / "000040.png", project / "exported_frames" / "lek-north" / "40.png"
    )


def counted_from_one(project: Path) -> None:
    folder = project / "segannot" / "lek-south"
    for path in sorted(folder.glob("*.png"), reverse=True):
        path.rename(folder / f"{int(path.stem) + 1:06d}.png")


def broken_mask(project: Path) -> None:
    (project / "segannot" / "lek-north" / "000040.png").write_bytes(b"no picture")


def broken_image(project: Path) -> None:
    (project / "exported_frames" / "lek-north" / "000040.png").write_bytes(b"no picture")


PROBLEMS = {
    no_mask: ("images without a mask: .*lek-north/000040.png", 1),
    no_image: ("masks without an image: .*lek-north/000040.png", 1),
    other_size: ("differ in size: .*000040.png and its mask, 160 x 96 and 159 x 96", 1),
    unknown_object: (r"stand for no class: id 77 in .*000040.png \(known: 1, 2, 3, 4\)", 1),
    mixed_numbers: ("mixed numbering: .*000040.png and 40.png are both number 40", 0),
    counted_from_one: ("mixed numbering, such as .*lek-south are numbered one higher than their images", 40),
    broken_mask: ("masks that cannot be used: .*000040.png.* is no PNG", 1),
    broken_image: ("images that cannot be used: .*000040.png: no image", 1),
}


@pytest.mark.parametrize("spoil", PROBLEMS, ids=lambda spoil: spoil.__name__)
def test_what_is_wrong_is_one_line_with_an_example_and_nothing_is_written(project, spoil):
    complaint, lost = PROBLEMS[spoil]
    spoil(project)
    with pytest.raises(InputError, match=complaint) as refusal:
        main(arguments(project, train_ratio=1))
    assert "nothing was written; --skip-bad" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert written(project) == []
    main(arguments(project, train_ratio=1, skip_bad=True))
    assert len(load(project, "train")["images"]) == 80 - lost
    assert load(project, "report")["left_out_images"]


def test_each_kind_of_problem_is_a_line_of_its_own(project, capsys):
    no_mask(project)
    unknown_object(project)
    (project / "segannot" / "lek-south" / "000060.png").unlink()
    (project / "segannot" / "lek-south" / "000090.png").unlink()
    with pytest.raises(InputError):
        main(arguments(project))
    lines = capsys.readouterr().err.strip().split("\n")
    assert len(lines) == 2
    assert "2 images without a mask, such as" in lines[0] and "000060.png; " in lines[0]
    assert "id 77" in lines[1]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"train_ratio": 0}, "--train-ratio: .*greater than 0"),
        ({"train_ratio": 1.2}, "--train-ratio: .*less than or equal to 1"),
        ({"train_ratio": "most"}, "--train-ratio: .*number.*'most'"),
        ({"gap_frames": 0}, "--gap-frames"),
        ({"annot_names": ["ruff"]}, "'reeve', which is not among --annot-names"),
        ({"split": "days"}, "--split"),
        ({"gap_frames": 100000}, "give no validation image"),
        ({"json_path_train": "x.txt"}, r"\.json"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_line(project, options, complaint):
    with pytest.raises(InputError, match=complaint) as refusal:
        main(arguments(project, **options))
    assert "\n" not in str(refusal.value)
    assert written(project) == []


def test_a_file_where_the_folder_of_the_set_should_be_is_refused(project):
    (project / "taken").touch()
    with pytest.raises(InputError, match="taken cannot be made: .*taken is a file"):
        main([*arguments(project), "--json-path-train", str(project / "taken" / "lek_train.json")])


def test_folders_must_come_in_pairs_and_once(project):
    images, masks = str(project / "exported_frames" / "lek-north"), str(project / "segannot" / "lek-north")
    for given, complaint in (
        (["--img-folder-path", images, images, "--mask-folder-paths", masks], "2 folders and --mask-folder-paths 1"),
        (["--img-folder-path", images, images, "--mask-folder-paths", masks, masks], "given twice"),
        (["--img-folder-path", images + "x", "--mask-folder-paths", masks], "is not there"),
        ([], "give folders"),
    ):
        with pytest.raises(InputError, match=complaint):
            main([*given, *outputs(project)])


def test_an_existing_set_is_never_overwritten(project):
    main(arguments(project))
    before = {name: (project / "COCO_jsons" / name).read_bytes() for name in written(project)}
    with pytest.raises(InputError, match="is there already; choose another name"):
        main(arguments(project, seed=1))
    assert {name: (project / "COCO_jsons" / name).read_bytes() for name in written(project)} == before


def test_a_file_of_somebody_else_is_never_overwritten(project):
    (project / "COCO_jsons").mkdir()
    (project / "COCO_jsons" / "lek_val.json").write_text("{}")
    with pytest.raises(InputError, match=r"lek_val\.json is there already"):
        main(arguments(project))
    assert written(project) == ["lek_val.json"]


def test_two_runs_to_one_name_do_not_meet(project):
    name = Outputs.beside(project / "COCO_jsons" / "lek_train.json", None)
    with name.held(), pytest.raises(InputError, match="is being written by another process"):
        main(arguments(project))
    main(arguments(project))


def test_the_report_draws_every_figure_and_shows_names_as_text(tmp_path):
    make_pair(tmp_path, "a<b>&c", range(0, 2000, 50), [k % 4 for k in range(40)])
    main(arguments(tmp_path, videos=("a<b>&c",)))
    report = load(tmp_path, "report")
    assert report["instances"] == sum(k % 4 for k in range(40))
    assert report["cardinality"] == 1.5
    assert [sum(row[side] for row in report["instances_per_image"]) for side in ("train", "val")] == [32, 8]
    assert sum(map(sum, report["heat_map"])) == report["instances"]
    page = (tmp_path / "COCO_jsons" / "lek_report.html").read_text()
    assert page.count("<svg") == 8
    assert "a&lt;b&gt;&amp;c" in page and "a<b>" not in page
    assert "<script" not in page and "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_by_hand_it_prints_what_it_wrote_and_ends_with_the_right_code(project):
    command = [sys.executable, "-m", "backend.mask2coco"]
    done = subprocess.run([*command, *arguments(project)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "lek_train.json: 64 images" in done.stdout and "lek_report.html: the report" in done.stdout
    again = subprocess.run([*command, *arguments(project)], capture_output=True, text=True, timeout=120)
    assert again.returncode == 2
    assert again.stderr.startswith("mask2coco: error: ") and again.stderr.count("\n") == 1


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    peaks = []
    for count in (40, 160):
        folder = tmp_path / str(count)
        make_pair(folder, "lek", range(0, count * 30, 30), 4, size=(480, 270))
        script = "import resource, sys; from backend.mask2coco import main; main(sys.argv[1:]); "
        script += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        given = arguments(folder, videos=("lek",))
        done = subprocess.run([sys.executable, "-c", script, *given], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] / peaks[0] < 1.02
