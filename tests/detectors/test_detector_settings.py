"""Detector settings: sizes, refusals, and a round trip through the file."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from backend.detectors.detector_settings import DETECTOR_FILE, DetectorSettings, read_detector_settings
from backend.project.errors import InputError


@pytest.mark.parametrize(
    ("frame", "expected"),
    [((2688, 1520), (1333, 754)), ((1920, 1080), (1333, 750)), ((640, 480), (1067, 800)), ((480, 640), (800, 1067))],
)
def test_the_input_keeps_the_shape_and_the_limits(frame, expected):
    assert DetectorSettings(class_names=("ruff",)).input_size(frame) == expected


def test_settings_come_back_from_the_file(tmp_path):
    settings = DetectorSettings(class_names=("ruff", "reeve"), backbone="resnet18", detections_per_image=300)
    (tmp_path / DETECTOR_FILE).write_text(settings.model_dump_json())
    assert read_detector_settings(tmp_path) == settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"class_names": ()},
        {"class_names": ("ruff", "ruff")},
        {"class_names": ("ruff",), "detections_per_image": 301},
        {"class_names": ("ruff",), "short_side_px": 800, "long_side_px": 700},
        {"class_names": ("ruff",), "anchor_sizes_px": (1, 2, 3)},
        {"class_names": ("ruff",), "format": 2},
        {"class_names": ("ruff",), "threshold": 0.5},
    ],
)
def test_what_is_not_allowed_is_refused(wrong):
    with pytest.raises(ValidationError):
        DetectorSettings(**wrong)


def test_a_folder_without_or_with_a_broken_file_is_no_model(tmp_path):
    with pytest.raises(InputError, match="holds no model"):
        read_detector_settings(tmp_path)
    (tmp_path / DETECTOR_FILE).write_text('{"class_names": ["ruff"], "nms": 3}')
    with pytest.raises(InputError, match="is broken: nms"):
        read_detector_settings(tmp_path)


def test_pages_can_use_settings_and_registry_without_torch():
    code = (
        "import sys, backend.detectors.detector_settings, backend.detectors.registry; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
