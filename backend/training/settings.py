"""The settings of a training, and what of them decides its result. Nothing here imports torch."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from backend.jobs.script import Option, ScriptSettings

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

    train_annot: Path | None = Field(default=None, description="training annotations (COCO JSON)")
    val_annot: Path | None = Field(
        default=None, description="validation annotations (COCO JSON); without them the last weights are the model"
    )
    out_dir: Path = Field(description="folder of the model")
    model_dir: Path | None = Field(
        default=None, description="start weights: a model's folder or a .safetensors file; by default random weights"
    )
    model_ckpt: str = Field(default="best", description="with a folder: best, last or a file in it")
    n_epoch: int = Field(default=10, ge=1, le=100_000, description="number of epochs")
    lr: float = Field(default=0.00075, gt=0, le=10, allow_inf_nan=False, description="peak learning rate")
    n_classes: int | None = Field(
        default=None, ge=1, le=1000, description="number of classes that the training annotations must have"
    )
    n_workers: int = Field(default=4, ge=0, le=256, description="processes that read images, for each GPU")
    batch_size: int = Field(default=2, ge=1, le=1024, description="images per step on each GPU")
    eval_period: Period = Field(default=0, description="steps between evaluations; 0: each epoch")
    ckpt_period: Period = Field(
        default=0, description="steps between checkpoints; 0: each epoch; at least one every ten minutes"
    )
    vis_period: Period = Field(default=0, description="steps between preview pictures; 0: each epoch")
    log_period: int = Field(default=20, ge=1, le=100_000, description="steps between points of the curves")
    resume: bool = Field(default=False, description="continue the training in --out-dir")
    eval_only: bool = Field(
        default=False, description="evaluate --model-dir on --val-annot and write the metrics to --out-dir"
    )
    num_gpus: int = Field(
        default=1, ge=1, le=64, description="number of GPUs of this machine (of processes, on the CPU)"
    )
    num_machines: int = Field(default=1, ge=1, le=256, description="number of machines that train together")
    machine_rank: int = Field(default=0, ge=0, le=255, description="number of this machine, from 0")
    dist_url: str = Field(default="auto", description="tcp://HOST:PORT of machine 0; auto on one machine")
    gpu_id: tuple[str, ...] = Field(default=(), description="numbers of the GPUs to use, or cpu")

    engine: str | None = Field(default=None, description="torchvision or detectron2")
    backbone: str | None = Field(default=None, description="backbone network; by default the engine's first one")
    image_size: tuple[int, ...] = Field(
        default=(), max_length=2, description="shorter side and maximum longer side, px"
    )
    anchor_sizes: tuple[int, ...] = Field(
        default=(), max_length=5, description="five anchor sizes, px of the network's input, for small animals"
    )
    norm: Literal["auto", "frozen", "batch", "group"] = Field(
        default="auto", description="normalisation layers; auto: those of the start weights, group for random weights"
    )
    channels: int | None = Field(
        default=None,
        ge=16,
        le=1024,
        multiple_of=8,
        description="width of feature pyramid and mask head; by default the backbone's own",
    )
    rois: int | None = Field(
        default=None,
        ge=4,
        le=4096,
        description="boxes per image that the heads learn from in a step; fewer train faster",
    )
    frozen_stages: int | None = Field(
        default=None, ge=0, le=5, description="number of backbone stages that are not trained, 0 to 5"
    )
    detections_per_image: int | None = Field(
        default=None, ge=1, le=300, description="maximum number of detections per image, up to 300"
    )
    auto_gamma: bool = Field(
        default=False,
        description="darken over-exposed images (night, infrared), in training and whenever the model is used",
    )
    score_threshold: float | None = Field(default=None, ge=0, le=1, description="minimum score of a detection, 0 to 1")
    amp: Literal["auto", "fp32", "bf16", "fp16"] = Field(default="auto", description="number format")
    seed: int = Field(default=0, ge=0, lt=2**31, description="random seed of order, augmentation and random weights")
    augment: str = Field(default="light", description="augmentation: none, light, or a .json file with strengths")
    early_stop: int = Field(
        default=0, ge=0, le=10_000, description="stop after this many evaluations without a better mask AP; 0: never"
    )
    optimiser: Literal["sgd", "adamw"] = Field(default="sgd", description="optimiser")
    schedule: Literal["cosine", "step", "constant"] = Field(
        default="cosine", description="schedule of the learning rate"
    )
    warmup_steps: int = Field(
        default=-1, ge=-1, le=1_000_000, description="steps of warm-up; -1: a tenth of all, at most 1000"
    )
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="weight decay, without biases and normalisation")
    clip_norm: float = Field(default=10.0, gt=0, le=1e6, description="maximum norm of the gradient")

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


class CompareSettings(ScriptSettings):
    """The arguments of ``python -m backend.models compare``: two models, evaluated on the same images."""

    first: Annotated[Path, Option(name="first")] = Field(description="a trained model's folder")
    second: Annotated[Path, Option(name="second")] = Field(description="another one")
    val_annot: Path = Field(description="validation annotations (COCO JSON)")
    out_dir: Path = Field(description="folder to write to")
    gpu_id: tuple[str, ...] = Field(default=(), description="number of a GPU, or cpu")
    batch_size: int = Field(default=2, ge=1, le=1024, description="images that go through the network together")
    n_workers: int = Field(default=4, ge=0, le=256, description="processes that read images")
    amp: str = Field(default="auto", description="number format: auto, fp32, bf16 or fp16")
