"""The page that makes data sets: pairs, counts, names, the job it submits, and a set looked at."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from backend.dataset.image_records import Flag
from backend.jobs import JobStore
from backend.mask2coco import main
from backend.project.paths import Project
from tests.gui.pages import button, opened
from tests.label_folders import make_pair


@pytest.fixture
def project(installed: Project) -> Path:
    """The folder of a project with two labelled videos and one without labels."""
    root = installed.root
    for video, bird in (("north", "ruff"), ("south", "reeve")):
        make_pair(root, video, range(0, 500, 50), 2, classes=(bird,))
    make_pair(root, "unlabelled", range(2), classes=())
    for path in (root / "segannot" / "unlabelled").iterdir():
        path.unlink()
    (root / "segannot" / "unlabelled").rmdir()
    return root


def said(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption)).replace("\\", "")


def test_pairs_are_proposed_with_classes_and_resulting_counts(project):
    app = opened("coco")
    assert [box.label for box in app.checkbox if box.value] == ["Use north", "Use south"]
    assert "10 images with a mask · classes: ruff" in said(app)
    assert next(field.value for field in app.text_input if "Class" in field.label) == "ruff, reeve"
    assert "About **16 images for training**, **4 for validation**, 0 left out" in said(app)
    assert "Outline birds in this video on the Annotation page" in said(app)
    app.slider[0].set_value(1.0).run()
    assert "**20 images for training**, **0 for validation**" in said(app)


def test_start_hands_the_pairs_in_order_to_the_queue(project):
    app = opened("coco")
    next(box for box in app.checkbox if box.label == "Use north").uncheck().run()
    next(box for box in app.checkbox if box.label == "Use north").check().run()
    button(app, "Start").click().run()
    assert not app.exception
    (job,) = JobStore().list()
    command = list(job.command)
    assert command[:2] == ["-m", "backend.mask2coco"]
    start = command.index("--img-folder-path")
    assert command[start + 1 : start + 3] == [str(project / "exported_frames" / name) for name in ("north", "south")]
    assert command[start + 4 : start + 6] == [str(project / "segannot" / name) for name in ("north", "south")]
    assert (job.output.name, job.videos) == ("lek.manifest.json", ("north", "south"))
    assert button(app, "Start").disabled
    JobStore().stop(job.id)


def test_a_name_that_is_taken_or_not_allowed_cannot_be_started(project):
    (project / "COCO_jsons").mkdir()
    (project / "COCO_jsons" / "mine_val.json").write_text("{}")
    app = opened("coco")
    for name, complaint in (
        ("mine", "mine_val.json already exists"),
        ("../x", "data set name '../x' is not allowed"),
    ):
        next(field for field in app.text_input if field.label == "Data set name").set_value(name).run()
        assert [error.value for error in app.error if complaint in error.value]
        assert not [each for each in app.button if each.label == "Start"]


def test_problems_of_a_pair_are_told_before_the_start(project):
    (project / "segannot" / "south" / "000050.png").unlink()
    app = opened("coco")
    (warning,) = [warning.value for warning in app.warning if "images without a mask" in warning.value]
    assert "000050.png" in warning and str(project) not in warning


def test_a_finished_set_is_shown_with_report_filters_and_augmentation(project):
    folder = project / "COCO_jsons"
    given = ["--img-folder-path", str(project / "exported_frames" / "north")]
    given += ["--mask-folder-paths", str(project / "segannot" / "north"), "--workers", "1"]
    main([*given, "--json-path-train", str(folder / "lek_train.json"), "--json-path-val", str(folder / "lek_val.json")])
    app = opened("coco")
    assert next(field.value for field in app.text_input if field.label == "Data set name") == "lek-2"
    mode = next(each for each in app.segmented_control if "Browse" in each.options)
    mode.set_value("Browse").run()
    assert not app.exception, app.exception
    assert [box.label for box in app.selectbox] == ["Data set", "Video", "Class", "Possible mistakes"]
    assert app.number_input[0].max == 8
    app.selectbox[3].select(Flag.PARTS).run()
    assert any("No matching images" in info.value for info in app.info)
    mode = next(each for each in app.segmented_control if "Augmentation preview" in each.options)
    mode.set_value("Augmentation preview").run()
    assert not app.exception, app.exception
    button(app, "New samples").click().run()
    assert not app.exception, app.exception


def test_a_set_whose_pictures_are_gone_says_so(project):
    folder = project / "COCO_jsons"
    given = ["--img-folder-path", str(project / "exported_frames" / "north")]
    given += ["--mask-folder-paths", str(project / "segannot" / "north"), "--workers", "1", "--train-ratio", "1"]
    main([*given, "--json-path-train", str(folder / "lek_train.json")])
    for path in (project / "exported_frames" / "north").iterdir():
        path.unlink()
    app = opened("coco")
    next(each for each in app.segmented_control if "Browse" in each.options).set_value("Browse").run()
    assert not app.exception, app.exception
    assert any("cannot be read" in error.value for error in app.error)
