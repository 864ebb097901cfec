"""``python -m backend.models``: list, show, compare."""

import json
from pathlib import Path

import pytest

from backend.models import main
from backend.project.errors import InputError
from backend.project.manifest import read_manifest, verify
from tests.training.tiny import make_data, train


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A project with two models, one that never began, and a folder of something else."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data").mkdir()
    data = make_data(folder / "data")
    training = folder / "training"
    training.mkdir()
    train(data, training / "first", "--n-epoch", "1")
    train(data, training / "second", "--n-epoch", "1", "--seed", "1")
    (training / "stray").mkdir()
    return folder


def test_the_list_has_every_model_with_its_figures_and_why_one_cannot_be_used(models, capsys):
    main(["list", "--folder", str(models / "training")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert any("first" in line and "mask AP" in line and "train.json" in line for line in lines)
    assert any("stray" in line and "holds no training" in line for line in lines)
    main(["list", "--folder", str(models / "training"), "--json"])
    assert {each["name"] for each in json.loads(capsys.readouterr().out)} == {"first", "second", "stray"}


def test_an_evaluation_in_the_folder_of_models_is_listed_as_none(models, tmp_path, capsys):
    (tmp_path / "first").symlink_to(models / "training" / "first")
    (tmp_path / "check").mkdir()
    said = read_manifest(models / "training" / "first").model_copy(update={"script": "evaluate", "inputs": {}})
    said.write(tmp_path / "check")
    main(["list", "--folder", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert any("check" in line and "holds no training" in line for line in lines)
    with pytest.raises(InputError, match="holds no training"):
        main(["show", str(tmp_path / "check")])


def test_an_empty_project_has_an_empty_list(tmp_path, capsys):
    main(["list", "--folder", str(tmp_path / "none")])
    assert capsys.readouterr().out == ""


def test_a_model_shows_its_card_and_a_stray_folder_is_refused(models, capsys):
    main(["show", str(models / "training" / "first")])
    assert "# first" in capsys.readouterr().out
    for none in ("stray", "first/README.md"):
        with pytest.raises(InputError, match="holds no training"):
            main(["show", str(models / "training" / none)])


def test_two_models_are_compared_on_the_same_pictures(models, tmp_path, capsys):
    pair = [str(models / "training" / name) for name in ("first", "second")]
    given = ["--val-annot", str(models / "data" / "val.json"), "--out-dir", str(tmp_path / "diff"), "--n-workers", "0"]
    main(["compare", *pair, *given, "--gpu-id", "cpu"])
    verify(tmp_path / "diff")
    found = json.loads((tmp_path / "diff" / "comparison.json").read_text())
    assert set(found["totals"]) == {"a", "b"}
    wrong = [max(each["wrong_a"], each["wrong_b"]) for each in found["differences"]]
    assert wrong and wrong == sorted(wrong, reverse=True)
    assert "mask AP" in capsys.readouterr().out


@pytest.mark.parametrize("given", [[], ["fly"], ["compare", "a"], ["list", "--x"]])
def test_wrong_commands_are_refused_in_one_line(given):
    with pytest.raises(InputError):
        main(given)
