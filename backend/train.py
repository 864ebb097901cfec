"""Train Mask R-CNN on a COCO JSON.

    python -m backend.train --train-annot COCO_jsons/lek_train.json --val-annot COCO_jsons/lek_val.json \
        --out-dir training/ruffs --model-dir weights/coco_resnet50_v2.safetensors --n-epoch 10 --lr 0.00075
    python -m backend.train ... --resume                    # goes on after a stop or a cut-off
    python -m backend.train ... --num-gpus 2                # two GPUs of this machine
    torchrun --nproc-per-node 4 -m backend.train ...        # or started by torchrun
    python -m backend.train --eval-only --model-dir training/ruffs --val-annot COCO_jsons/lek_val.json --out-dir check

Without --model-dir everything begins with random weights. The finished model is the folder --out-dir.
"""

import sys

import torch

from backend.jobs.script import ScriptParser, run_script
from backend.training.distributed import Ranks, devices, joined, start_processes, started_by_torchrun
from backend.training.evaluate_model import judge
from backend.training.plan import check_folder, make_plan
from backend.training.run import train
from backend.training.settings import TrainSettings


def main(argv: list[str]) -> None:
    """Train, or evaluate only."""
    settings = parse(argv)
    own = devices(settings.gpu_id, settings.num_gpus)
    if settings.num_machines * len(own) == 1 or started_by_torchrun():
        with joined(own, settings) as ranks:
            work(settings, ranks)
        return
    check_folder(settings.out_dir)
    settings.out_dir.mkdir(parents=True, exist_ok=True)
    code = start_processes(one_process, len(own), settings.out_dir, settings)
    if code:
        sys.exit(code)


def work(settings: TrainSettings, ranks: Ranks) -> None:
    """Do what one process has to do."""
    if settings.eval_only:
        judge(settings, ranks)
    else:
        train(settings, make_plan(settings), ranks)


def one_process(local: int, meeting: str, settings: TrainSettings) -> None:
    """Run one of several processes that were started here; leaves with a script's exit code."""
    own = devices(settings.gpu_id, settings.num_gpus)
    torch.set_num_threads(max(1, torch.get_num_threads() // len(own)))

    def main(_: list[str]) -> None:
        with joined(own, settings, local, meeting) as ranks:
            work(settings, ranks)

    run_script("train", main)


def parse(argv: list[str]) -> TrainSettings:
    """Return the checked arguments; see `TrainSettings` for what they mean."""
    parser = ScriptParser("backend.train", __doc__)
    fields = TrainSettings.model_fields
    for name, field in fields.items():
        option = f"--{name.replace('_', '-')}"
        if field.annotation is bool:
            parser.add_argument(option, action="store_true", help=HELP[name])
            continue
        several = "+" if name in ("gpu_id", "image_size", "anchor_sizes") else None
        required = field.is_required()
        parser.add_argument(option, nargs=several, required=required, default=field.default, help=HELP[name])
    return parser.settings(TrainSettings, argv)


HELP = {
    "train_annot": "COCO JSON to train on",
    "val_annot": "COCO JSON to evaluate on; without it the last weights are the model",
    "out_dir": "folder of the model",
    "model_dir": "start weights: a model's folder or a .safetensors file; random without",
    "model_ckpt": "with a folder: best, last or a file in it",
    "n_epoch": "how often every image is seen",
    "lr": "learning rate at its highest",
    "n_classes": "checked against the JSON; taken from it when absent",
    "n_workers": "processes that read images, for each GPU",
    "batch_size": "images a step on each GPU",
    "eval_period": "steps between evaluations; 0: each epoch",
    "ckpt_period": "steps between checkpoints; 0: each epoch; but every ten minutes at least",
    "vis_period": "steps between drawn pictures; 0: each epoch",
    "log_period": "steps between points of the curves",
    "resume": "go on in --out-dir after a stop or a cut-off",
    "eval_only": "evaluate --model-dir on --val-annot and write the figures to --out-dir",
    "num_gpus": "GPUs (processes, on the CPU) of this machine",
    "num_machines": "machines that train together",
    "machine_rank": "number of this machine, from 0",
    "dist_url": "tcp://HOST:PORT of machine 0; auto on one machine",
    "gpu_id": "numbers of the GPUs to use, or cpu",
    "engine": "torchvision or detectron2",
    "backbone": "network; the engine's first one by default",
    "image_size": "shorter side and longest longer side in px",
    "anchor_sizes": "five sizes in px of the network's input, for small animals",
    "norm": "normalisation layers; auto: those of the start weights, group from random weights",
    "channels": "width of pyramid and mask head; the backbone's own by default",
    "rois": "boxes of an image that the heads learn from in a step; fewer train faster",
    "frozen_stages": "first stages of the backbone that stay as they are, 0 to 5",
    "detections_per_image": "at most so many, up to 300",
    "score_threshold": "least score of a detection, 0 to 1",
    "auto_gamma": "darken over-exposed images (night, infrared), in training and whenever the model is used",
    "amp": "number format: auto, fp32, bf16 or fp16",
    "seed": "of order, augmentation and random weights",
    "augment": "none, light, or a .json file with strengths",
    "early_stop": "end after so many evaluations without a better mask AP; 0: never",
    "optimiser": "sgd or adamw",
    "schedule": "of the learning rate: cosine, step or constant",
    "warmup_steps": "steps in which the learning rate rises; -1: a tenth of all, at most 1000",
    "weight_decay": "of weights that are not biases or normalisation",
    "clip_norm": "longest gradient",
}


if __name__ == "__main__":
    run_script("train", main)
