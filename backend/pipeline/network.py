"""The interface of a detection network for the pipeline, and its implementation by Mask R-CNN."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from backend.detectors.detector_settings import MASK_SIDE, DetectorSettings

SHAPES = 16  # compiled forms kept, one for each size of input


@dataclass(frozen=True)
class ModelChoice:
    """Which weights to use and how; see `backend.detectors.load.load_detector`."""

    model: Path
    checkpoint: str = "best"
    classes: tuple[str, ...] = ()
    amp: str = "auto"
    compiled: bool = False
    score_threshold: float | None = None


@dataclass(frozen=True)
class NetworkFacts:
    """Facts of a loaded network. ``identity``: checksums of its weights."""

    settings: DetectorSettings
    identity: dict[str, str]
    number_format: str
    device: str  # "cpu", or a GPU's name
    torch_device: str = "cpu"


@dataclass(frozen=True)
class NetworkDetections:
    """Output of a network for a batch, in host memory, sorted by picture, then by falling score.

    ``picture`` (D,) int64, ``class_id`` (D,) int64 from 1, ``score`` (D,) float32, ``boxes`` (D, 4) float32 ``x1 y1 x2
    y2`` in px of the input, ``masks`` (D, 28, 28) float32 probabilities.
    """

    picture: np.ndarray
    class_id: np.ndarray
    score: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray


# of a batch without any decodable frame: networks need at least one picture
NO_DETECTIONS = NetworkDetections(
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros(0, np.float32),
    np.zeros((0, 4), np.float32),
    np.zeros((0, MASK_SIDE, MASK_SIDE), np.float32),
)


class Network(Protocol):
    """A network that is ready to run on one device."""

    facts: NetworkFacts

    def pin(self, memory: np.ndarray) -> None:
        """Prepare host memory that pictures will lie in for fast copies to the device."""

    def find(self, pictures: Any, number: int) -> NetworkDetections:
        """Find animals in the first ``number``, at least one, of (N, H, W, 3) uint8 RGB pictures; the others are black.

        The pictures are an array in host memory or a tensor that is on the device already.
        """


Load = Callable[[ModelChoice, str], Network]


def load_network(choice: ModelChoice, device: str) -> Network:
    """Load Mask R-CNN on ``device`` ("cpu" or a GPU's number). InputError if the model or the GPU cannot be used."""
    return TorchNetwork(choice, device)


class TorchNetwork:
    """See `Network`. Everything of torch is imported here, in the worker, and nowhere else in the pipeline."""

    def __init__(self, choice: ModelChoice, device: str):
        import torch

        from backend.detectors.load import load_detector, model_identity

        changes = {} if choice.score_threshold is None else {"score_threshold": choice.score_threshold}
        self._detector = load_detector(
            choice.model, device, choice.amp, choice.checkpoint, choice.classes or None, changes
        )
        torch_device = self._detector.device
        self._on_gpu = torch_device.type == "cuda"
        if not self._on_gpu:
            torch.set_num_threads(1)  # sums are rounded differently with another number of threads
        else:
            torch.cuda.set_device(torch_device)
            torch.backends.cudnn.deterministic = True  # the same picture gives the same bytes, on every resume
            torch.backends.cudnn.benchmark = False
        if choice.compiled:
            _compile(self._detector.network)
        name = torch.cuda.get_device_name(torch_device) if self._on_gpu else "cpu"
        identity = model_identity(choice.model, choice.checkpoint)
        self.facts = NetworkFacts(
            self._detector.settings, identity, self._detector.number_format, name, str(torch_device)
        )

    def pin(self, memory: np.ndarray) -> None:
        """See `Network.pin`."""
        import torch

        if self._on_gpu:
            torch.cuda.check_error(torch.cuda.cudart().cudaHostRegister(memory.ctypes.data, memory.nbytes, 0))

    def find(self, pictures: Any, number: int) -> NetworkDetections:
        """See `Network.find`. On a GPU black pictures go along, so that every batch has the same shape."""
        import torch

        with torch.inference_mode():
            batch = torch.as_tensor(pictures if self._on_gpu else pictures[:number])
            batch = batch.to(self._detector.device, non_blocking=True)
            found = self._detector(batch.permute(0, 3, 1, 2)).to_host()
        parts = (found.image, found.class_ids, found.scores, found.boxes, found.masks)
        return NetworkDetections(*(part.numpy() for part in parts))


def _compile(network: Any) -> None:
    """Compile backbone and proposal head, whose shapes are fixed; the rest depends on what is found."""
    import torch

    torch._dynamo.config.cache_size_limit = SHAPES
    torch._dynamo.config.suppress_errors = True  # where no compiler is, the network runs as it is, only slower
    network.backbone = torch.compile(network.backbone, dynamic=False)
    proposals = network.rpn if hasattr(network, "rpn") else network.proposal_generator
    name = "head" if hasattr(proposals, "head") else "rpn_head"
    setattr(proposals, name, torch.compile(getattr(proposals, name), dynamic=False))
