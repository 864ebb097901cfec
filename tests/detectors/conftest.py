"""One small detector for each engine and kind of network."""

import pytest
import torch

from backend.detectors.detector_settings import DetectorSettings
from backend.detectors.load import build_detector
from backend.detectors.registry import engines

KINDS = {
    "torchvision ResNet-18": ("torchvision", "resnet18", "group"),
    "torchvision MobileNet": ("torchvision", "mobilenet_v3_large", "batch"),
    "torchvision ResNet-50 version 2": ("torchvision", "resnet50_v2", "batch"),
    "Detectron2 R50": ("detectron2", "mask_rcnn_R_50_FPN_3x", "batch"),
}
SMALL = {
    "class_names": ("ruff", "reeve"),
    "short_side_px": 64,
    "long_side_px": 96,
    "anchor_sizes_px": (8, 16, 24, 32, 48),
    "channels": 32,
    "rois_in_training": 16,
    "proposals": 40,
    "score_threshold": 0.05,
    "detections_per_image": 20,
}


def small(kind: str, **changes) -> DetectorSettings:
    """Return settings of a kind in KINDS; the test is skipped where its engine is not installed."""
    engine, backbone, norm = KINDS[kind]
    info = next(each for each in engines() if each.name == engine)
    if not info.available:
        pytest.skip(info.reason)
    return DetectorSettings(**{**SMALL, "engine": engine, "backbone": backbone, "norm": norm, **changes})


@pytest.fixture(autouse=True)
def one_thread():
    """Keep torch to one thread, and random weights the same."""
    torch.set_num_threads(1)
    torch.manual_seed(1)


@pytest.fixture(scope="module", params=list(KINDS))
def detector(request):
    """A detector with random weights, in eval mode. Tests leave it as it was."""
    torch.manual_seed(1)
    return build_detector(small(request.param)).eval()


@pytest.fixture
def pictures():
    """Return two pictures of noise, (2, 3, 64, 96) uint8."""
    return torch.randint(0, 255, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
