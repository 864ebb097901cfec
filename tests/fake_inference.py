"""`backend.inference` with a network for tests: it finds light blobs by the pixels alone, without torch.

    python -m tests.fake_inference ARGUMENTS OF backend.inference

``--model-dir`` is a JSON file: ``delay_s`` a batch takes, and ``mishaps``, each with the ``frame`` (a barcode, see
tests.videos) that brings it about, ``how`` (kill, raise, hang) and how many ``times``.
"""

import functools
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.detectors.detector_settings import MASK_SIDE, DetectorSettings
from backend.inference import main
from backend.jobs.script import run_script
from backend.pipeline.network import ModelChoice, NetworkDetections, NetworkFacts
from backend.project.errors import InputError
from tests.videos import number_of

LIGHT = 130


def write_model(path: Path, delay_s: float = 0.0, mishaps: tuple[dict, ...] = (), short_side_px: int = 96) -> Path:
    """Write the file that ``--model-dir`` names."""
    path.write_text(json.dumps({"delay_s": delay_s, "mishaps": list(mishaps), "short_side_px": short_side_px}))
    return path


def load(choice: ModelChoice, device: str) -> "FakeNetwork":
    """Load the fake network; the only GPU that is missing is number 7."""
    if device == "7":
        raise InputError("GPU '7' cannot be used: there is none on this machine that torch can use")
    return FakeNetwork(choice)


class FakeNetwork:
    """See the module."""

    def __init__(self, choice: ModelChoice):
        if not choice.model.is_file():
            raise InputError(f"model {choice.model}: there is no such file")
        self._model = choice.model
        self._behaviour = json.loads(choice.model.read_text())
        side = self._behaviour["short_side_px"]
        settings = DetectorSettings(
            class_names=choice.classes or ("bird",),
            short_side_px=side,
            long_side_px=4 * side,
            score_threshold=choice.score_threshold or 0.05,
        )
        self.facts = NetworkFacts(settings, {"file": choice.model.name, "sha256": str(side)}, "fp32", "cpu")

    def pin(self, memory: np.ndarray) -> None:
        """Nothing to do."""

    def find(self, pictures: np.ndarray, number: int) -> NetworkDetections:
        """Return the light blobs of each picture; no picture at all is an error, as for Mask R-CNN."""
        if not number:
            raise IndexError("there is no picture")
        time.sleep(self._behaviour["delay_s"])
        for mishap in self._behaviour["mishaps"]:
            self._meet(mishap, pictures[:number])
        rows = [(place, *blob) for place in range(number) for blob in blobs(pictures[place])]
        masks = [row[3] for row in rows]
        return NetworkDetections(
            np.array([row[0] for row in rows], np.int64),
            np.ones(len(rows), np.int64),
            np.array([row[1] for row in rows], np.float32),
            np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
            np.array(masks, np.float32).reshape(-1, MASK_SIDE, MASK_SIDE),
        )

    def _meet(self, mishap: dict[str, Any], pictures: np.ndarray) -> None:
        met = sorted(self._model.parent.glob(f"{self._model.name}.met-{mishap['frame']}-*"))
        if len(met) >= mishap["times"] or mishap["frame"] not in [number_of(picture) for picture in pictures]:
            return
        self._model.with_name(f"{self._model.name}.met-{mishap['frame']}-{len(met)}").touch()
        if mishap["how"] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif mishap["how"] == "hang":
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            raise ValueError("the network stumbled")


def blobs(picture: np.ndarray) -> list[tuple[float, tuple[float, float, float, float], np.ndarray]]:
    """Return score, box and mask of each light blob, the brightest first."""
    light = (picture.mean(axis=-1) > LIGHT).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(light, connectivity=4)
    found = []
    for label in range(1, count):
        x, y, width, height, _ = stats[label].tolist()
        own = (labels[y : y + height, x : x + width] == label).astype(np.float32)
        mask = cv2.resize(own, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_LINEAR)
        score = float(picture[labels == label].mean()) / 255
        found.append((score, (x, y, x + width, y + height), mask))
    return sorted(found, key=lambda blob: (-blob[0], blob[1]))


if __name__ == "__main__":
    run_script("inference", functools.partial(main, load=load))
