"""The interface that both engines implement and that training, inference and evaluation are written against."""

import abc
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from backend.detectors.detector_settings import MASK_SIDE, DetectorSettings
from backend.detectors.exposure import auto_gamma
from backend.detectors.precision import FORMATS
from backend.project.errors import InputError

COLUMNS = 7  # of a packed detection, before its mask: image, class id, score, x1, y1, x2, y2


@dataclass(frozen=True)
class Detections:
    """The detections in a batch of images, sorted by image, then by falling score.

    Attributes
    ----------
    image : (D,) int64, 0-based index of the image in the batch
    class_ids : (D,) int64, 1-based index into ``DetectorSettings.class_names``
    scores : (D,) float32, 0 to 1
    boxes : (D, 4) float32 xyxy, px of the network's input, origin top left, inside the picture
    masks : (D, 28, 28) float32, probability that a cell of the box belongs to the animal; see ``mask_semantics``
    """

    image: Tensor
    class_ids: Tensor
    scores: Tensor
    boxes: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.scores)

    def to_host(self) -> "Detections":
        """Return the same in CPU memory, with one copy from the device."""
        if self.scores.device.type == "cpu":
            return self
        return self.unpack(self.pack().cpu())

    def pack(self) -> Tensor:
        """Return all of it as one (D, 7 + 784) float32 tensor (counts below 2**24 are exact in float32)."""
        head = torch.stack((self.image, self.class_ids), 1).float()
        return torch.cat((head, self.scores[:, None], self.boxes, self.masks.flatten(1)), 1)

    @classmethod
    def unpack(cls, packed: Tensor) -> "Detections":
        """Return what `pack` was given."""
        image, class_ids = packed[:, 0].long(), packed[:, 1].long()
        masks = packed[:, COLUMNS:].reshape(-1, MASK_SIDE, MASK_SIDE)
        return cls(image, class_ids, packed[:, 2], packed[:, 3:COLUMNS], masks)


class Target(NamedTuple):
    """The truth about one picture, in px of the network's input.

    ``boxes`` (M, 4) float32 xyxy; ``class_ids`` (M,) int64, 1-based; ``masks`` (M, H, W) uint8, 0 or 1.
    """

    boxes: Tensor
    class_ids: Tensor
    masks: Tensor


class ClassRows(NamedTuple):
    """How a parameter's rows belong to classes: so many a class, the background's first, last or none."""

    per_class: int
    background: Literal["first", "last", "none"]


class Detector(nn.Module, abc.ABC):
    """A Mask R-CNN. ``network`` holds all weights; its ``state_dict`` is what model files store.

    ``detector(batch)`` finds animals, ``detector(batch, sizes, targets)`` gives losses. Both take RGB uint8 pictures
    that are already resized (`input_size`), so that the host sends the fewest bytes; conversion, normalisation and
    padding happen on the device. Neither pastes a mask into a frame.
    """

    class_rows: ClassVar[dict[str, ClassRows]]  # by the beginning of a parameter's name

    def __init__(self, settings: DetectorSettings, network: nn.Module):
        super().__init__()
        self.settings = settings
        self.network = network
        self.number_format = "fp32"
        self._own_ids: Tensor | None = None
        self.register_buffer("mean", torch.tensor(settings.pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(settings.pixel_std).view(3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    def move_to(self, device: torch.device, number_format: str) -> "Detector":
        """Move to ``device`` and compute in ``number_format`` (see `precision`); weights stay float32."""
        self.number_format = number_format
        self.to(device)
        if device.type == "cuda":
            self.to(memory_format=torch.channels_last)
        return self

    def restrict(self, class_names: tuple[str, ...]) -> None:
        """Report these classes only from now on; ids count from 1 in their order.

        The network still tells all its classes apart: what it takes for a sheep does not become a bird.
        """
        known = self.settings.class_names
        unknown = [name for name in class_names if name not in known]
        if unknown:
            raise InputError(f"class {unknown[0]!r} is not one of the model's: {', '.join(known)}")
        ids = [class_names.index(name) + 1 if name in class_names else 0 for name in known]
        self._own_ids = torch.tensor([0, *ids], device=self.device)
        self.settings = self.settings.model_copy(update={"class_names": tuple(class_names)})

    def _restricted(self, detections: Detections) -> Detections:
        if self._own_ids is None:
            return detections
        ids = self._own_ids.to(detections.class_ids.device)[detections.class_ids]
        keep = ids > 0
        parts = (detections.image, ids, detections.scores, detections.boxes, detections.masks)
        return Detections(*(part[keep] for part in parts))

    def input_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """See `DetectorSettings.input_size`."""
        return self.settings.input_size(frame_size)

    def forward(
        self, batch: Tensor, sizes: list[tuple[int, int]] | None = None, targets: list[Target] | None = None
    ) -> Detections | dict[str, Tensor]:
        """Detect, or compute losses where ``targets`` are given.

        Parameters
        ----------
        batch
            (N, 3, H, W) uint8 RGB on the detector's device.
        sizes
            Width and height of each picture where pictures are smaller than the batch and padded right and below; None
            if they fill it.
        targets
            The truth of each picture.

        Returns
        -------
        Detections on the device, or a dictionary of scalar losses (the same five names for both engines), whose sum is
        the loss to minimise. In ``eval`` mode losses are computed without touching the running statistics of
        normalisation layers; they still sample anchors with torch's global random numbers.
        """
        sizes = sizes or [(batch.shape[3], batch.shape[2])] * len(batch)
        with torch.autocast(self.device.type, FORMATS[self.number_format], enabled=self.number_format != "fp32"):
            pictures = self._normalise(batch, sizes)
            if targets is not None:
                return self._losses(self._features(pictures), pictures, sizes, targets)
            return self._restricted(self._detect(self._features(pictures), pictures, sizes))

    def losses_and_detections(
        self, batch: Tensor, sizes: list[tuple[int, int]], targets: list[Target]
    ) -> tuple[dict[str, Tensor], Detections]:
        """Return losses and detections of the same pictures, with one pass through the backbone; see `forward`."""
        with torch.autocast(self.device.type, FORMATS[self.number_format], enabled=self.number_format != "fp32"):
            pictures = self._normalise(batch, sizes)
            features = self._features(pictures)
            detections = self._restricted(self._detect(features, pictures, sizes))
            return self._losses(features, pictures, sizes, targets), detections

    @abc.abstractmethod
    def activations(self) -> dict[str, list[nn.Module]]:
        """Return, for each stage of the backbone, the modules whose output comes straight after a ReLU or Hardswish."""

    @abc.abstractmethod
    def _features(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the levels of the feature pyramid for normalised, padded pictures."""

    @abc.abstractmethod
    def _detect(self, features: dict[str, Tensor], pictures: Tensor, sizes: list[tuple[int, int]]) -> Detections: ...

    @abc.abstractmethod
    def _losses(
        self, features: dict[str, Tensor], pictures: Tensor, sizes: list[tuple[int, int]], targets: list[Target]
    ) -> dict[str, Tensor]: ...

    def _normalise(self, batch: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Return (N, 3, H', W') float32: normalised, zero where padded, H' and W' multiples of 32."""
        height, width = batch.shape[2:]
        if self.settings.auto_gamma:
            batch = batch.clone()
            for picture, (own_width, own_height) in zip(batch, sizes, strict=True):
                picture[:, :own_height, :own_width] = auto_gamma(picture[:, :own_height, :own_width])
        pictures = (batch.float() - self.mean) / self.std
        for picture, (own_width, own_height) in zip(pictures, sizes, strict=True):
            picture[:, own_height:, :] = 0
            picture[:, :, own_width:] = 0
        pictures = nn.functional.pad(pictures, (0, -width % 32, 0, -height % 32))
        if self.device.type == "cuda":
            pictures = pictures.contiguous(memory_format=torch.channels_last)
        return pictures
