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
from backend.training.distributed import ProcessGroup, devices, joined, start_processes, started_by_torchrun
from backend.training.evaluate_model import evaluate_model
from backend.training.plan import check_folder, make_plan
from backend.training.run import train
from backend.training.settings import TrainSettings


def main(argv: list[str]) -> None:
    """Train, or evaluate only."""
    settings = ScriptParser("backend.train", __doc__).settings(TrainSettings, argv)
    own = devices(settings.gpu_id, settings.num_gpus)
    if settings.num_machines * len(own) == 1 or started_by_torchrun():
        with joined(own, settings) as group:
            work(settings, group)
        return
    check_folder(settings.out_dir)
    settings.out_dir.mkdir(parents=True, exist_ok=True)
    code = start_processes(one_process, len(own), settings.out_dir, settings)
    if code:
        sys.exit(code)


def work(settings: TrainSettings, group: ProcessGroup) -> None:
    """Do what one process has to do."""
    if settings.eval_only:
        evaluate_model(settings, group)
    else:
        train(settings, make_plan(settings), group)


def one_process(local: int, meeting: str, settings: TrainSettings) -> None:
    """Run one of several processes that were started here; leaves with a script's exit code."""
    own = devices(settings.gpu_id, settings.num_gpus)
    torch.set_num_threads(max(1, torch.get_num_threads() // len(own)))

    def main(_: list[str]) -> None:
        with joined(own, settings, local, meeting) as group:
            work(settings, group)

    run_script("train", main)


if __name__ == "__main__":
    run_script("train", main)
