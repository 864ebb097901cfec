"""What decides a detector's results, saved with every model. Nothing here imports torch, so that pages start fast."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from backend.project.errors import InputError
from backend.project.settings import first_problem

FORMAT = 1
DETECTOR_FILE = "detector.json"
MASK_SIDE = 28  # the mask head's output, both engines

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=20_000)]


class DetectorSettings(BaseModel):
    """Everything about a detector that changes what it finds. Frozen; unknown keys are refused.

    Class ids are 1-based places in ``class_names``; 0 is the background and never leaves a detector. Lengths are pixels
    of the network's input. ``mask_semantics`` says how a mask of 28x28 probabilities lies in its box: "subpixel" means
    bilinear sampling at pixel centres with the box's borders as they are, not rounded, and a pixel belongs
    to the mask from ``mask_threshold`` on. ``stride_in_1x1`` is how Detectron2's zoo weights were made.
    ``channels`` is the width of pyramid and mask head, ``rois_in_training`` how many boxes of a picture the
    heads learn from in a step: with fewer of both, small machines train several times faster. ``pixel_mean`` and
    ``pixel_std`` are RGB on the scale of 0 to 255. ``auto_gamma`` darkens over-exposed pictures before all else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    engine: str = "torchvision"
    backbone: str = "resnet50"
    class_names: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(min_length=1, max_length=1000)
    short_side_px: int = Field(default=800, ge=32, le=8192)
    long_side_px: int = Field(default=1333, ge=32, le=8192)
    anchor_sizes_px: tuple[Annotated[int, Field(ge=2, le=4096)], ...] = Field(
        default=(32, 64, 128, 256, 512), min_length=5, max_length=5
    )
    proposals_before_nms: Count = 1000
    proposals: Count = 1000
    proposals_in_training: Count = 2000
    rois_in_training: int = Field(default=512, ge=4, le=4096)
    channels: int = Field(default=256, ge=16, le=1024, multiple_of=8)
    proposal_nms_iou: Share = 0.7
    nms_iou: Share = 0.5
    score_threshold: Share = 0.05
    detections_per_image: int = Field(default=100, ge=1, le=300)
    mask_semantics: Literal["subpixel"] = "subpixel"
    mask_threshold: Share = 0.5
    norm: Literal["frozen", "batch", "group"] = "frozen"
    norm_eps: float = Field(default=1e-5, ge=0, le=0.1)
    stride_in_1x1: bool = False
    frozen_stages: int = Field(default=0, ge=0, le=5)
    auto_gamma: bool = False
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)

    @property
    def n_classes(self) -> int:
        """Number of classes without the background."""
        return len(self.class_names)

    def input_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return (width, height) in px that a frame of (width, height) is resized to before it enters the network.

        The shape is kept; the shorter side becomes ``short_side_px`` unless the longer would exceed ``long_side_px``.
        Boxes come out in pixels of this size: multiply x by frame width / input width, y by the ratio of heights.
        """
        width, height = frame_size
        scale = min(self.short_side_px / min(width, height), self.long_side_px / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    @field_validator("class_names")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"{', '.join(names)}: class names must differ")
        return names

    @model_validator(mode="after")
    def _sides(self) -> "DetectorSettings":
        if self.long_side_px < self.short_side_px:
            raise ValueError(f"long_side_px {self.long_side_px} must not be below short_side_px {self.short_side_px}")
        return self


def read_detector_settings(folder: Path) -> DetectorSettings:
    """Return the settings of the model in ``folder``; InputError where it holds none or broken ones."""
    path = folder / DETECTOR_FILE
    try:
        return DetectorSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{folder} holds no model: {DETECTOR_FILE} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise InputError(f"{path} is broken: {first_problem(error)}") from error
