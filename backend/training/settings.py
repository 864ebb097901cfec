"""The settings of a training, and what of them decides its result. Nothing here imports torch."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from backend.jobs.script import ScriptSettings

Period = Annotated[int, Field(ge=0, le=10_000_000)]

# What may differ when a training is resumed, because the weights come out the same.
NOT_DECISIVE = {
    "train_annot",
    "val_annot",
    "out_dir",
    "model_dir",
    "model_ckpt",
    "n_classes",
    "n_workers",
    "ckpt_period",
    "vis_period",
    "log_period",
    "resume",
    "eval_only",
    "gpu_id",
    "machine_rank",
    "dist_url",
}


class TrainSettings(ScriptSettings):
    """The arguments of ``python -m backend.train``; the names are the options.

    Periods are steps; 0 stands for "each epoch". ``batch_size`` counts pictures a step on each GPU. ``image_size`` is
    the shorter side and the longest allowed longer side, px. ``early_stop`` is a number of evaluations without a better
    mask AP; 0 never stops early. ``gpu_id`` names GPUs by number, or is ``cpu``; where it is not given, ``num_gpus``
    GPUs from 0 on are used, and the CPU where there is none. With ``cpu``, ``num_gpus`` is a number of processes.
    """

    train_annot: Path | None = None
    val_annot: Path | None = None
    out_dir: Path
    model_dir: Path | None = None
    model_ckpt: str = "best"
    n_epoch: int = Field(default=10, ge=1, le=100_000)
    lr: float = Field(default=0.00075, gt=0, le=10, allow_inf_nan=False)
    n_classes: int | None = Field(default=None, ge=1, le=1000)
    n_workers: int = Field(default=4, ge=0, le=256)
    batch_size: int = Field(default=2, ge=1, le=1024)
    eval_period: Period = 0
    ckpt_period: Period = 0
    vis_period: Period = 0
    log_period: int = Field(default=20, ge=1, le=100_000)
    resume: bool = False
    eval_only: bool = False
    num_gpus: int = Field(default=1, ge=1, le=64)
    num_machines: int = Field(default=1, ge=1, le=256)
    machine_rank: int = Field(default=0, ge=0, le=255)
    dist_url: str = "auto"
    gpu_id: tuple[str, ...] = ()

    engine: str | None = None
    backbone: str | None = None
    image_size: tuple[int, ...] = Field(default=(), max_length=2)
    anchor_sizes: tuple[int, ...] = Field(default=(), max_length=5)
    norm: Literal["auto", "frozen", "batch", "group"] = "auto"
    channels: int | None = Field(default=None, ge=16, le=1024, multiple_of=8)
    rois: int | None = Field(default=None, ge=4, le=4096)
    frozen_stages: int | None = Field(default=None, ge=0, le=5)
    detections_per_image: int | None = Field(default=None, ge=1, le=300)
    auto_gamma: bool = False
    score_threshold: float | None = Field(default=None, ge=0, le=1)
    amp: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    seed: int = Field(default=0, ge=0, lt=2**31)
    augment: str = "light"
    early_stop: int = Field(default=0, ge=0, le=10_000)
    optimiser: Literal["sgd", "adamw"] = "sgd"
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup_steps: int = Field(default=-1, ge=-1, le=1_000_000)
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    clip_norm: float = Field(default=10.0, gt=0, le=1e6)

    @model_validator(mode="after")
    def _together(self) -> "TrainSettings":
        if not self.eval_only and self.train_annot is None:
            raise ValueError("--train-annot is needed: the COCO JSON to train on")
        if self.eval_only and (self.val_annot is None or self.model_dir is None):
            raise ValueError("--eval-only needs --model-dir and --val-annot")
        if self.anchor_sizes and len(self.anchor_sizes) != 5:
            raise ValueError(f"--anchor-sizes: 5 sizes in px, one for each level, not {len(self.anchor_sizes)}")
        if self.gpu_id and len(set(self.gpu_id)) < len(self.gpu_id):
            raise ValueError(f"--gpu-id {' '.join(self.gpu_id)}: name each GPU once")
        if "cpu" in self.gpu_id and len(self.gpu_id) > 1:
            raise ValueError(f"--gpu-id {' '.join(self.gpu_id)}: either GPUs or cpu")
        if self.machine_rank >= self.num_machines:
            raise ValueError(f"--machine-rank {self.machine_rank}: machines count from 0 to {self.num_machines - 1}")
        if self.num_machines > 1 and self.dist_url == "auto":
            raise ValueError("--num-machines needs --dist-url tcp://HOST:PORT of machine 0")
        return self

    def decisive(self) -> dict:
        """Return the settings that decide the result; a run is resumed with these only."""
        return self.model_dump(mode="json", exclude=NOT_DECISIVE)
