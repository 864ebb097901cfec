"""The settings of `backend.inference`, and the defaults that depend on the machine."""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import psutil
from pydantic import Field, field_validator, model_validator

from backend.detectors.score_threshold import KEPT_SCORE
from backend.jobs.script import Option, ScriptSettings
from backend.jobs.slots import GpuError, GpuList
from backend.pipeline.default_model import BIRD, default_model
from backend.pipeline.network import ModelChoice
from backend.pipeline.run_folder import RunSettings
from backend.pipeline.supervisor import Limits
from backend.pipeline.worker import WorkerOptions
from backend.project.errors import InputError
from backend.project.settings import load_settings
from backend.video.containers import open_video_file

CHUNK_FRAMES = {"gpu": 4000, "cpu": 32}  # about a minute of work
BATCH_SIZE = {"gpu": 8, "cpu": 1}
MAX_DECODERS = 4
CPU_WORKER_BYTES = 2_500_000_000  # Mask R-CNN on a picture of 1333 px, with room


class InferenceSettings(ScriptSettings):
    """What the command line says. None leaves a choice to the script."""

    video_path: tuple[Path, ...] = Field(min_length=1, description="one or more videos")
    base_out_dir: Path = Field(description="results go to BASE_OUT_DIR/VIDEO/RUN")
    video_name: tuple[str, ...] = Field(default=(), description="folder name of each video; by default its file name")
    run: str | None = Field(
        default=None, description="folder name of the run; by default the model's name and the date"
    )
    model_dir: Path | None = Field(
        default=None, description="a trained model (training/NAME) or a weights file; by default a general bird model"
    )
    model_ckpt: str = Field(default="best", description="best, last, or a file in the model's folder")
    n_classes: int | None = Field(default=None, ge=1, description="number of classes that the model must have")
    class_names: tuple[str, ...] = Field(default=(), description="detect only these of the model's classes")
    frame_start: Annotated[int, Option(also_called="--from-frame")] = Field(
        default=0, ge=0, description="first frame, counted from 0"
    )
    frame_end: Annotated[int | None, Option(also_called="--to-frame")] = Field(
        default=None, description="frame after the last one; by default to the end"
    )
    stride: int = Field(default=1, ge=1, description="process every Nth frame only")
    crop_from_x: int = Field(default=0, ge=0, description="left edge of the crop, px; results are for the whole frame")
    crop_from_y: int = Field(default=0, ge=0, description="top edge of the crop, px")
    crop_to_x: int | None = Field(default=None, ge=0, description="right edge of the crop, px; by default the frame's")
    crop_to_y: int | None = Field(default=None, ge=0, description="bottom edge of the crop, px; by default the frame's")
    tile: Annotated[tuple[int, int] | None, Option(metavar="WxH")] = Field(
        default=None, description="process overlapping tiles of this size in px, for birds that are too small otherwise"
    )
    tile_overlap: int | None = Field(
        default=None, ge=0, description="overlap of the tiles, px, at least the largest bird; by default a quarter tile"
    )
    score_threshold: float = Field(default=KEPT_SCORE, ge=0, le=1, description="minimum score that is kept")
    gpu_id: tuple[str, ...] = Field(default=(), description="GPU numbers, one worker process each; or cpu")
    cpu_workers: int | None = Field(
        default=None, ge=1, le=256, description="workers on the CPU; by default one per core, if memory suffices"
    )
    n_saver_proc: int = Field(default=2, ge=1, le=64, description="saving threads per worker")
    n_decoders: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description=f"video decoders per worker; by default as many as the cores allow, at most {MAX_DECODERS}",
    )
    batch_size: int | None = Field(
        default=None, ge=1, le=256, description="frames that go through the network together"
    )
    chunk_frames: int | None = Field(
        default=None, ge=1, description="frames per chunk, the most that a kill can lose; by default a minute of work"
    )
    amp: Literal["auto", "fp32", "bf16", "fp16"] = Field(default="auto", description="number format")
    decoder: Literal["auto", "pyav", "nvdec"] = Field(
        default="auto", description="video decoder, pyav on the CPU or nvdec on the GPU"
    )
    compile: Literal["auto", "on", "off"] = Field(default="auto", description="compile the network, auto: on GPUs")
    silence_limit_s: float = Field(
        default=Limits.silent_s, gt=0, description="replace a worker that reports nothing for longer, s"
    )
    save_mask: bool = Field(default=False, description="also write masks as 16-bit PNG, value = detection + 1")
    visualize: bool = Field(default=False, description="also write an MP4 with masks, boxes and scores")
    resume: bool = Field(default=False, description="continue the run where it stopped")

    @field_validator("gpu_id")
    @classmethod
    def _devices(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if names != ("cpu",) and not (all(name.isdecimal() for name in names) and len(set(names)) == len(names)):
            raise ValueError(f"{' '.join(names)}: give GPU numbers, each once, such as 0 1; or cpu alone")
        return names

    @field_validator("tile", mode="before")
    @classmethod
    def _tile(cls, value: str | None) -> tuple[int, int] | None:
        if not isinstance(value, str):
            return value
        width, cross, height = value.partition("x")
        if not (cross and width.isdecimal() and height.isdecimal()):
            raise ValueError(f"{value!r} must be WIDTHxHEIGHT in pixels, such as 960x760")
        return int(width), int(height)

    @model_validator(mode="after")
    def _fitting(self) -> "InferenceSettings":
        if self.video_name and len(self.video_name) != len(self.video_path):
            raise ValueError(f"{len(self.video_path)} videos need as many --video-name, not {len(self.video_name)}")
        if self.class_names and self.n_classes not in (None, len(self.class_names)):
            raise ValueError(f"n_classes {self.n_classes} does not fit the {len(self.class_names)} class names given")
        if self.resume and self.run is None:
            raise ValueError("--resume needs --run: the name of the run to go on with")
        return self


def choose_devices(given: Sequence[str]) -> tuple[str, ...]:
    """Return the devices given; without any the first GPU, or the CPU where there is none."""
    if given:
        return tuple(given)
    try:
        gpus = GpuList().ids(load_settings())
    except GpuError as error:
        raise InputError(f"the GPUs do not answer ({error}); choose with --gpu-id, cpu works everywhere") from error
    return (str(gpus[0]),) if gpus else ("cpu",)


def decide(settings: InferenceSettings, devices: Sequence[str]) -> RunSettings:
    """Return what decides the results, with the choices that were left to the script."""
    kind = "cpu" if devices == ("cpu",) else "gpu"
    overlap = settings.tile_overlap
    if overlap is None:
        overlap = min(settings.tile) // 4 if settings.tile else 0
    if kind == "cpu" and settings.decoder == "nvdec":
        raise InputError("--decoder nvdec needs a GPU; with --gpu-id cpu use pyav")
    wanted = kind == "gpu" and settings.decoder != "pyav"
    nvdec = wanted and (settings.decoder == "nvdec" or nvdec_can_decode(settings.video_path))
    return RunSettings(
        frame_start=settings.frame_start,
        frame_end=settings.frame_end,
        stride=settings.stride,
        chunk_frames=settings.chunk_frames or CHUNK_FRAMES[kind],
        batch_size=settings.batch_size or BATCH_SIZE[kind],
        crop=(settings.crop_from_x, settings.crop_from_y, settings.crop_to_x, settings.crop_to_y),
        tile=settings.tile,
        tile_overlap=overlap,
        decoder="nvdec" if nvdec else "pyav",
        compiled=settings.compile == "on" or (settings.compile == "auto" and kind == "gpu"),
    )


def choose_model(settings: InferenceSettings, compiled: bool) -> ModelChoice:
    """Return the model that was chosen; without one, general weights restricted to birds."""
    model, classes = settings.model_dir, settings.class_names
    if model is None:
        model, classes = default_model(load_settings().project_folder), classes or (BIRD,)
    score = settings.score_threshold
    return ModelChoice(model.resolve(), settings.model_ckpt, classes, settings.amp, compiled, score)


def check_classes(settings: InferenceSettings, names: Sequence[str]) -> None:
    """Raise InputError if the model does not have the number of classes that the user expects."""
    if settings.n_classes not in (None, len(names)):
        raise InputError(f"--n-classes {settings.n_classes}: the model has {len(names)} ({', '.join(names)})")


def share_machine(settings: InferenceSettings, devices: Sequence[str]) -> list[WorkerOptions]:
    """Deal the cores to the workers, one a GPU, and their decoders.

    On the CPU a network computes in one thread, because the number of threads would show in its results; so there are
    as many workers as cores, if the memory suffices.
    """
    cores = os.cpu_count() or 1
    if devices == ("cpu",):
        room = psutil.virtual_memory().available // CPU_WORKER_BYTES
        devices = ("cpu",) * (settings.cpu_workers or max(1, min(cores, room)))
    cores = max(1, cores // len(devices))
    wanted = settings.n_decoders or min(MAX_DECODERS, max(1, cores // 4))
    return [WorkerOptions(device, wanted, max(1, cores // wanted), settings.n_saver_proc) for device in devices]


def nvdec_can_decode(videos: Sequence[Path]) -> bool:
    """Tell whether all videos can be decoded on the GPU here."""
    try:
        importlib.import_module("PyNvVideoCodec")
    except (ImportError, OSError, RuntimeError):  # not installed, or without the driver's libraries
        return False
    from backend.video.decode_nv import CODECS, SUPPORTED  # imports torch

    for video in videos:
        container, stream = open_video_file(video)
        with container:
            codec = stream.codec_context
            if codec.name not in CODECS or codec.pix_fmt not in SUPPORTED:
                return False
    return True
