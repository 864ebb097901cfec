"""Turn images and masks into a training set: COCO JSON for training and validation, and a report about it.

    python -m backend.mask2coco --img-folder-path data/exported_frames/lek1 data/exported_frames/lek2 \
        --mask-folder-paths data/segannot/lek1 data/segannot/lek2 \
        --json-path-train data/COCO_jsons/lek_train.json --json-path-val data/COCO_jsons/lek_val.json --train-ratio 0.8

    python -m backend.mask2coco --merge a.json b.json --json-path-train data/COCO_jsons/both_train.json --train-ratio 1

Masks are indexed PNGs: the value of a pixel is the id of its object. `objects.json` beside them says which id is of
which class; without that file, value i is of the class annot-names[i - 1] (repeat a name if several objects are of
one class). Nothing is written while anything is wrong with the input, unless --skip-bad leaves the bad images out.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from backend.dataset.build import Index, fill_spool, find_duplicates, write_set
from backend.dataset.convert_mask import POLYGONS, Conversion
from backend.dataset.image_list import make_plan
from backend.dataset.image_records import Spool
from backend.dataset.outputs import Outputs
from backend.dataset.problems import Problems
from backend.dataset.report import Facts
from backend.dataset.set_statistics import Statistics
from backend.dataset.split import SplitBy, SplitSettings, split
from backend.dataset.write_coco import CocoWriter
from backend.jobs.progress import Progress
from backend.jobs.script import Option, ScriptParser, ScriptSettings, run_script
from backend.project.disk import as_bytes, check_space
from backend.project.errors import InputError
from backend.project.manifest import Manifest, hardware, now, versions

BYTES_PER_IMAGE = 60_000  # twenty birds as polygons, in the waiting file and in the JSON


class Mask2CocoSettings(ScriptSettings):
    """Settings of a run; the help texts of the options say what each means."""

    img_folder_path: Annotated[tuple[Path, ...], Option(metavar="DIR")] = Field(
        default=(), description="folders of images, one per video"
    )
    mask_folder_paths: Annotated[tuple[Path, ...], Option(metavar="DIR")] = Field(
        default=(), description="their folders of masks, in the same order"
    )
    merge: Annotated[tuple[Path, ...], Option(metavar="JSON")] = Field(
        default=(), description="existing COCO JSON files to include"
    )
    merge_images: Annotated[tuple[Path, ...], Option(metavar="DIR")] = Field(
        default=(), description="folders of their images, if they are not beside them"
    )
    json_path_train: Annotated[Path, Option(metavar="FILE")] = Field(
        description="file for training, such as COCO_jsons/NAME_train.json"
    )
    json_path_val: Annotated[Path | None, Option(metavar="FILE")] = Field(
        default=None, description="file for validation, such as COCO_jsons/NAME_val.json"
    )
    train_ratio: float = Field(
        default=0.8, gt=0, le=1, description="share of the images for training, up to 1 (no validation file)"
    )
    annot_names: Annotated[tuple[str, ...], Option(metavar="NAME")] = Field(
        default=(), description="class names; by default those of objects.json"
    )
    supercategory: str = Field(default="bird", description="COCO's supercategory of all classes")
    segmentation: Literal["polygons", "rle"] = Field(default=POLYGONS, description="mask format")
    min_area: int = Field(
        default=16, ge=1, description="minimum area of a mask, px; smaller ones are dropped and counted"
    )
    split: SplitBy = Field(default=SplitBy.BLOCKS, description="split by blocks of time, or keep videos whole")
    gap_frames: int = Field(
        default=25, ge=1, description="minimum distance of training and validation frames of one video, frames"
    )
    seed: int = Field(default=0, ge=0, description="random seed of the split")
    reviewed_only: bool = Field(
        default=False, description="use only masks that a person made or reviewed (frames.json)"
    )
    crowds_are_animals: bool = Field(
        default=False, description="take annotations with iscrowd 1 of merged files as single animals"
    )
    skip_bad: bool = Field(default=False, description="leave bad images out instead of writing nothing")
    duplicates: bool = Field(default=True, description="do not look for duplicate images")
    workers: int = Field(default=0, ge=0, le=256, description="number of processes; 0: up to one per CPU core")

    @model_validator(mode="after")
    def _complete(self) -> "Mask2CocoSettings":
        if not self.img_folder_path and not self.mask_folder_paths and not self.merge:
            raise ValueError("give folders (--img-folder-path, --mask-folder-paths) or COCO JSON files (--merge)")
        if self.train_ratio < 1 and self.json_path_val is None:
            raise ValueError("give --json-path-val, or --train-ratio 1 for no validation file")
        return self

    @property
    def splitting(self) -> SplitSettings:
        """The part of the settings that is about the split."""
        return SplitSettings(self.train_ratio, self.split, self.gap_frames, self.seed)


def main(argv: list[str]) -> None:
    """Run the script; see the module's text."""
    settings = ScriptParser("backend.mask2coco", __doc__).settings(Mask2CocoSettings, argv)
    outputs = Outputs.beside(settings.json_path_train, None if settings.train_ratio == 1 else settings.json_path_val)
    with outputs.held(), Progress() as progress:
        manifest = begin(settings)
        problems = Problems()
        progress.stage("looking at the folders")
        plan = make_plan(
            settings.img_folder_path, settings.mask_folder_paths, settings.merge, settings.merge_images,
            settings.annot_names, settings.reviewed_only, problems, settings.crowds_are_animals,
        )  # fmt: skip
        manifest.inputs = plan.inputs
        check_space(outputs.folder, len(plan) * BYTES_PER_IMAGE)
        with Spool(outputs.folder) as spool:
            conversion = Conversion(settings.segmentation, settings.min_area, plan.categories)
            index = fill_spool(plan, conversion, settings.workers, spool, problems, progress)
            refuse(problems, index, settings.skip_bad)
            same = _same_images(settings, spool, index, progress)
            sides = split(index.videos, index.numbers, index.birds, settings.splitting)
            check_space(outputs.folder, 2 * spool.size)
            statistics = Statistics(plan.videos, plan.classes)
            statistics.lay_out(index.videos, index.numbers, sides)
            writer = CocoWriter(spool, statistics, settings.supercategory, progress)
            facts = Facts(statistics, spool, sides, same, index.dropped, problems, plan.notes)
            report = write_set(outputs, manifest, writer, facts, progress)
    summarise(outputs, report)


def begin(settings: Mask2CocoSettings) -> Manifest:
    """Return the manifest of this run, its inputs still empty."""
    return Manifest(
        script="mask2coco", inputs={}, settings=settings.model_dump(mode="json"), versions=versions(),
        hardware=hardware(), started=now(),
    )  # fmt: skip


def _same_images(settings: Mask2CocoSettings, spool: Spool, index: Index, progress: Progress) -> np.ndarray:
    if not settings.duplicates:
        return np.arange(len(index))
    return find_duplicates(spool, index, settings.workers, progress)


def refuse(problems: Problems, index: Index, skip_bad: bool) -> None:
    """Print each kind of problem as a line, and raise InputError unless bad images are to be left out."""
    lines = problems.lines()
    if problems and not skip_bad:
        for line in lines if len(lines) > 1 else ():
            print(f"mask2coco: {line}", file=sys.stderr)
        raise InputError(f"{' | '.join(lines)} | nothing was written; --skip-bad leaves these out")
    for line in lines:
        print(f"mask2coco: left out: {line}", file=sys.stderr)
    if not len(index):
        raise InputError("no image is left that can be used; nothing was written")


def summarise(outputs: Outputs, report: dict[str, Any]) -> None:
    """Print what was written."""
    for side, path in (("train", outputs.train), ("val", outputs.val)):
        if path is not None:
            counts = report["by_side"][side]
            size = as_bytes(path.stat().st_size)
            print(f"{path}: {counts['images']} images, {counts['instances']} instances, {size}")
    for line in report["remarks"]:
        print(line)
    print(f"{outputs.report_html}: the report")


if __name__ == "__main__":
    run_script("mask2coco", main)
