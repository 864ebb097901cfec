"""A small project with something for every page, made by the product's own scripts: the sample, shorter and smaller."""

import pytest

from backend import export_frames, mask2coco, track, zone_stats
from backend.lek import sample
from backend.lek.simulated_run import detect
from backend.lek.truth_tracks import write_truth_tracks
from backend.project.paths import Project

MASK_EVERY, FRAMES = 5, 50
SHORTER = {"SECONDS": 2, "SIZE": "320x192", "MASK_EVERY": MASK_EVERY, "HAND_MADE_EVERY": 20, "NOT_REVIEWED_FROM": 40}


def make_small_sample(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fill ``project``: videos, masks, zones, exported frames, a data set, detections, tracks, statistics.

    Returns the two videos. The first has tracks of `backend.track` from simulated detections, the second its true ones.
    """
    for name, value in SHORTER.items():
        monkeypatch.setattr(sample, name, value)
    sample.sample(project.root)
    videos = [clip.name for clip in sample.CLIPS]
    images, masks = ([folder(video) for video in videos] for folder in (project.exported_frames, project.segannot))
    for video, folder in zip(videos, images, strict=True):
        path = project.root / sample.VIDEOS / f"{video}.mp4"
        export_frames.main(["--src", str(path), "--dest", str(folder), "--every", str(MASK_EVERY)])
        run = project.inference_output(video, "night")
        run.mkdir(parents=True)
        detect(project.root / sample.TRUTH / video, run, "normal")
    jsons = [str(project.coco_jsons / f"lek_{part}.json") for part in ("train", "val")]
    mask2coco.main(
        ["--img-folder-path", *map(str, images), "--mask-folder-paths", *map(str, masks), "--gap-frames", "5",
         "--json-path-train", jsons[0], "--json-path-val", jsons[1], "--train-ratio", "0.7", "--workers", "1"]
    )  # fmt: skip
    first, second = (project.track_output(video, "night") for video in videos)
    track.main(
        ["--detections", str(project.inference_output(videos[0], "night")), "--out", str(first),
         "--n-birds", str(sample.CLIPS[0].birds)]
    )  # fmt: skip
    write_truth_tracks(project.root / sample.TRUTH / videos[1], second)
    out = project.root / "statistics" / "small"
    zone_stats.main(["--tracks", str(first), str(second), "--out", str(out), "--bin-s", "0.5"])
    return videos
