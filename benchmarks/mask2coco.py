"""Masks a second of `mask2coco` against the usual loop over `cv2.findContours` in one process, in one run.

    python benchmarks/mask2coco.py --frames 200

Both read the same indexed PNGs of 2688 x 1520 px with twenty birds each and write COCO JSON. The loop does what such
scripts do: np.unique, compare, findContours over the whole frame, outer contours only. Ours starts its worker
processes, traces holes, checks every polygon with pycocotools, splits, looks for duplicates and writes the report
within the time that is counted.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backend.mask2coco import main as mask2coco
from backend.masks.indexed import write_labels

WIDTH, HEIGHT, BIRDS = 2688, 1520, 20
GOAL = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--workers", type=int, default=0, help="0: as many as pay, what users get")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        masks = arguments.frames * make_frames(root, arguments.frames)
        warm_up(root)
        loop_s = timed(lambda: findcontours_loop(root))
        rows = [("findContours loop, 1 process", loop_s)]
        rows.append(("mask2coco, 1 process", timed(lambda: ours(root, "one", 1))))
        rows.append((f"mask2coco, --workers {arguments.workers}", timed(lambda: ours(root, "many", arguments.workers))))
        rows.append(("the same with --segmentation rle", timed(lambda: ours(root, "rle", arguments.workers, "rle"))))
        for name, seconds in rows:
            print(f"{name:36s} {masks / seconds:8.0f} masks/s   {loop_s / seconds:6.2f} x the loop")
        sizes = {name: (root / f"{name}_train.json").stat().st_size / masks for name in ("many", "rle")}
        print("bytes a mask in the JSON:", ", ".join(f"{name} {size:.0f}" for name, size in sizes.items()))
    ratio = loop_s / rows[-2][1]
    print(f"masks/s, --workers {arguments.workers} against the loop: {ratio:.2f} (goal {GOAL:.0f})")


def make_frames(root: Path, frames: int) -> int:
    """Write images and masks; return the number of birds in each frame."""
    for name in ("images", "masks"):
        (root / name).mkdir()
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (HEIGHT // 16, WIDTH // 16, 3)).astype(np.uint8)
    image = cv2.resize(image, (WIDTH, HEIGHT))
    for number in range(frames):
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        for bird in range(1, BIRDS + 1):
            centre = (int(rng.integers(80, WIDTH - 80)), int(rng.integers(80, HEIGHT - 80)))
            angle = float(rng.integers(0, 180))
            cv2.ellipse(labels, centre, (58, 30), angle, 0, 360, bird, -1)
            cv2.circle(labels, (centre[0] + 40, centre[1] - 30), 14, bird, -1)
            for foot in (-12, 12):
                cv2.line(labels, centre, (centre[0] + foot, centre[1] + 60), bird, 3)
        cv2.rectangle(image, (0, 0), (200 + number, 40), (number % 256, 80, 80), -1)
        cv2.imwrite(str(root / "images" / f"{number * 40:06d}.jpg"), image)
        write_labels(root / "masks" / f"{number * 40:06d}.png", labels)
    return BIRDS


def warm_up(root: Path) -> None:
    """Compile, and read the files once, so that neither is counted."""
    for form in ("polygons", "rle"):
        ours(root, f"warm-{form}", 1, form)


def findcontours_loop(root: Path) -> None:
    images, annotations = [], []
    for number, path in enumerate(sorted((root / "masks").glob("*.png")), 1):
        labels = np.array(Image.open(path))
        images.append({"id": number, "file_name": path.name, "width": labels.shape[1], "height": labels.shape[0]})
        for value in np.unique(labels)[1:]:
            contours, _ = cv2.findContours(
                (labels == value).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
            )
            x, y, w, h = cv2.boundingRect(np.concatenate(contours))
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": [x, y, w, h],
                 "area": sum(map(cv2.contourArea, contours)),
                 "segmentation": [contour.ravel().tolist() for contour in contours if len(contour) > 2]}
            )  # fmt: skip
    with open(root / "loop.json", "w") as file:
        json.dump({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ruff"}]}, file)


def ours(root: Path, name: str, workers: int, form: str = "polygons") -> None:
    arguments = (
        ["--img-folder-path", str(root / "images"), "--mask-folder-paths", str(root / "masks"), "--annot-names",
         *["ruff"] * BIRDS, "--json-path-train", str(root / f"{name}_train.json"), "--train-ratio", "1",
         "--workers", str(workers), "--segmentation", form]
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        mask2coco(arguments)


def timed(work) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
