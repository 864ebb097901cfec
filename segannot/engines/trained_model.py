"""Proposals from the project's own trained Mask R-CNN: birds in a frame, which people accept, edit or reject."""

from pathlib import Path

import numpy as np

from backend.detectors.score_threshold import SHOWN_SCORE
from backend.masks import rle
from backend.masks.from_network import encode_masks
from backend.pipeline.default_model import default_model
from backend.pipeline.network import ModelChoice, Network, load_network
from backend.project.errors import InputError
from backend.training.model_folder import usable_models
from backend.video.resize import resize


class DetectorProposals:
    """Detections of the project's newest trained model, else of the general model that knows birds.

    Raises
    ------
    InputError
        If there is no usable model.
    """

    name = "detector"

    def __init__(self, project_folder: Path, device: str, half_precision: bool):
        self.model = newest_model(project_folder)
        self._device, self._amp = device, "auto" if half_precision else "fp32"
        self._network: Network | None = None

    def propose(self, picture: np.ndarray) -> list[tuple[np.ndarray, str]]:
        """Return (H, W) bool masks with class names, best first, for an (H, W, 3) uint8 RGB image."""
        if self._network is None:
            self._network = load_network(
                ModelChoice(self.model, amp=self._amp, score_threshold=SHOWN_SCORE), self._device
            )
        settings = self._network.facts.settings
        height, width = picture.shape[:2]
        size = settings.input_size((width, height))
        detections = self._network.find(resize(picture, size)[None], 1)
        scale = np.array([width / size[0], height / size[1]] * 2, np.float32)
        masks = encode_masks(detections.masks, detections.boxes * scale, (width, height))
        proposals = []
        for k, class_id in enumerate(detections.class_id):
            mask = rle.decode(masks.counts(k), height, width).astype(bool)
            if mask.any():
                proposals.append((mask, settings.class_names[class_id - 1]))
        return proposals


def newest_model(project_folder: Path) -> Path:
    """Return the newest usable model, or the general one; InputError if there is none."""
    for record in usable_models(project_folder / "training"):
        return record.path
    try:
        return default_model(project_folder)
    except InputError as error:
        raise InputError("no model is trained yet") from error
