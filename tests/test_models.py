"""``python -m backend.models``: list, show, compare."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backend.detectors.load import load_detector
from backend.models import main
from backend.project.errors import InputError
from backend.project.manifest import read_manifest, verify
from backend.training.model_folder import usable_models
from segannot.engines.trained_model import newest_model
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


def test_one_rule_says_which_models_are_usable(models, tmp_path, capsys):
    """Stopped after an evaluation: usable everywhere. Stopped before one, or running: nowhere, with the reason."""
    training = tmp_path / "training"
    for name in ("stopped", "early", "running"):
        shutil.copytree(models / "training" / "first", training / name)
        read_manifest(training / name).model_copy(update={"complete": False, "files": {}}).write(training / name)
    (training / "early" / "model.safetensors").unlink()
    (training / "early" / "metrics.json").unlink()
    holder = [sys.executable, "-c", HOLD, str(training / "running")]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
        held.stdout.readline()
        assert [model.name for model in usable_models(training)] == ["stopped"]
        main(["list", "--folder", str(training)])
        lines = capsys.readouterr().out.splitlines()
        held.stdin.close()
    assert any("stopped" in line and "best weights so far after step" in line for line in lines)
    assert any("early" in line and "there was no evaluation yet" in line for line in lines)
    assert any("running" in line and "training is running" in line for line in lines)
    assert {model.name for model in usable_models(training)} == {"stopped", "running"}
    shutil.rmtree(training / "running")
    assert newest_model(tmp_path) == training / "stopped"
    assert load_detector(training / "stopped").settings.class_names == usable_models(training)[0].detector.class_names


HOLD = """
import sys
from pathlib import Path
from backend.project.locks import output_lock
with output_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
