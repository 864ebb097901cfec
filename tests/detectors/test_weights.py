"""Weights files: what they hold, what is refused, and that none of them can run code."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from backend.detectors.detector_settings import DETECTOR_FILE, DetectorSettings
from backend.detectors.load import (
    build_detector,
    changed_settings,
    load_detector,
    load_weights_file,
    model_identity,
    weights_path,
)
from backend.detectors.weights import WeightsFile, read_weights, start_from, write_weights
from backend.project.errors import InputError
from tests.detectors.conftest import small


@pytest.fixture(scope="module")
def detector():
    """A small detector with random weights."""
    return build_detector(small("torchvision MobileNet"))


@pytest.fixture
def folder(detector, tmp_path):
    """A model's folder."""
    (tmp_path / DETECTOR_FILE).write_text(detector.settings.model_dump_json())
    write_weights(tmp_path / "model.safetensors", detector.network.state_dict(), detector.settings)
    (tmp_path / "checkpoints").mkdir()
    torch.save({"model": detector.network.state_dict()}, tmp_path / "checkpoints" / "last.pt")
    return tmp_path


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_says_what_it_belongs_to(folder, detector):
    file = read_weights(folder / "model.safetensors")
    assert file.settings == detector.settings
    assert not file.backbone_only
    assert set(file.weights) == set(detector.network.state_dict())


@pytest.mark.parametrize("checkpoint", ["best", "last", "model.safetensors", "checkpoints/last.pt"])
def test_best_last_or_a_file_of_the_folder_can_be_loaded(folder, detector, checkpoint):
    loaded = load_detector(folder, checkpoint=checkpoint)
    for name, value in detector.network.state_dict().items():
        assert torch.equal(value, loaded.network.state_dict()[name])


def test_the_identity_is_the_files_name_and_checksum(folder):
    assert model_identity(folder)["file"] == "model.safetensors"
    assert model_identity(folder)["sha256"] != model_identity(folder, "last")["sha256"]


@pytest.mark.parametrize("place", ["checkpoints/last.pt", "other.pth"])
def test_a_malicious_checkpoint_does_not_run(folder, tmp_path, place):
    from backend.detectors.convert_weights import convert

    trap = tmp_path / "ran"
    with open(folder / place, "wb") as file:
        torch.save({"model": Evil(trap)}, file)
    with pytest.raises(InputError, match="cannot be read"):
        convert(folder / place) if place.endswith("pth") else load_detector(folder, checkpoint="last")
    (folder / place).write_bytes(pickle.dumps(Evil(trap)))
    with pytest.raises(InputError, match="cannot be read"):
        convert(folder / place) if place.endswith("pth") else load_detector(folder, checkpoint="last")
    assert not trap.exists()


def test_damaged_empty_and_nameless_files_are_refused(folder, detector):
    whole = (folder / "model.safetensors").read_bytes()
    for content in (b"", b"abc", whole[: len(whole) // 2]):
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            load_detector(folder)
    save_file({"a": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(InputError, match="do not say what they are; convert them"):
        load_detector(folder)
    (folder / "checkpoints" / "last.pt").write_bytes(whole[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        load_detector(folder, checkpoint="last")


def test_weights_that_are_missing_or_too_many_are_refused(tmp_path, detector):
    weights = dict(detector.network.state_dict())
    weights.pop("roi_heads.box_predictor.cls_score.bias")
    write_weights(tmp_path / "a.safetensors", weights, detector.settings)
    with pytest.raises(InputError, match="does not hold the weights of this detector"):
        load_detector(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("name", "words"),
    [("best", "there is no such folder"), ("last", "there is no such folder")],
)
def test_a_model_that_is_not_there_is_named(tmp_path, name, words):
    with pytest.raises(InputError, match=words):
        load_detector(tmp_path / "nowhere", checkpoint=name)
    with pytest.raises(InputError, match="it has no model.safetensors; checkpoint is best, last or a file"):
        weights_path(tmp_path)


def test_a_pickle_as_a_model_is_answered_with_the_way_to_convert_it(tmp_path):
    (tmp_path / "model_final.pkl").write_bytes(b"")
    with pytest.raises(InputError, match="python -m backend.admin weights add"):
        load_weights_file(tmp_path / "model_final.pkl")


def test_a_backbone_starts_a_training_but_finds_nothing(tmp_path, detector):
    backbone = {
        name: value for name, value in detector.network.state_dict().items() if name.startswith("backbone.body")
    }
    write_weights(tmp_path / "a.safetensors", backbone, detector.settings, backbone_only=True)
    with pytest.raises(InputError, match="holds a backbone only"):
        load_detector(tmp_path / "a.safetensors")
    fresh = build_detector(detector.settings)
    started = start_from(fresh, read_weights(tmp_path / "a.safetensors"))
    assert started.classes == ()
    assert any(name.startswith("rpn.") for name in started.random)
    name = next(iter(backbone))
    assert torch.equal(fresh.network.state_dict()[name], backbone[name])


def test_start_weights_of_another_network_are_refused(detector):
    file = WeightsFile({}, DetectorSettings(class_names=("ruff",)), False)
    with pytest.raises(InputError, match="start weights are of torchvision resnet50, the model to train is"):
        start_from(detector, file)
    with pytest.raises(InputError, match="hold no backbone"):
        start_from(detector, WeightsFile({"a": torch.zeros(1)}, detector.settings, False))
    wide = small("torchvision MobileNet", channels=64)
    with pytest.raises(InputError, match="do not fit"):
        start_from(build_detector(wide), WeightsFile(detector.network.state_dict(), detector.settings, False))


def test_what_may_change_when_a_model_is_run_and_what_not(detector):
    changed = changed_settings(detector.settings, {"score_threshold": 0.7, "detections_per_image": 300})
    assert (changed.score_threshold, changed.detections_per_image) == (0.7, 300)
    with pytest.raises(InputError, match="backbone: fixed by the model; what may change: detections_per_image"):
        changed_settings(detector.settings, {"backbone": "resnet18"})
    with pytest.raises(InputError, match="score_threshold: Input should be less than or equal to 1"):
        changed_settings(detector.settings, {"score_threshold": 7})
