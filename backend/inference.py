"""Find the birds in whole videos: decode, network and disk at work at the same time, resumable at any moment.

    python -m backend.inference --video-path lek.mp4 --base-out-dir out --model-dir data/training/ruffs
    python -m backend.inference --video-path night/*.mp4 --base-out-dir out --model-dir ruffs --gpu-id 0 1 --run night-1
    python -m backend.inference --video-path lek.mp4 --base-out-dir out --model-dir ruffs --run night-1 --resume

Writes ``BASE_OUT_DIR/VIDEO/RUN/`` with ``detections_A_B.parquet`` and ``frames_A_B.parquet`` for each chunk. Without a
model, COCO weights in the project's ``weights/`` folder find the class bird.
"""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from backend.jobs.progress import Progress
from backend.jobs.script import ScriptParser, run_script
from backend.pipeline.chunk_plan import Work
from backend.pipeline.network import Load, load_network
from backend.pipeline.options import (
    InferenceSettings,
    check_classes,
    choose_devices,
    choose_model,
    decide,
    share_machine,
)
from backend.pipeline.run_folder import Source, VideoRun, begin_run, check_source, finish_run
from backend.pipeline.supervisor import Limits, Supervisor
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.paths import Project, check_name, slug
from backend.video import load_index
from backend.video.library import index_cache
from backend.visualize import main as visualize

OUTPUT = "inference_output"  # in a project
INDEX_LIMIT_S = 3600.0  # the first look at hours of video on a network drive


def main(argv: list[str], load: Load = load_network) -> None:
    """Run the script; ``load`` makes the network (tests bring their own)."""
    logging.basicConfig(format="%(message)s")
    settings = ScriptParser("backend.inference", __doc__).settings(InferenceSettings, argv)
    devices = choose_devices(settings.gpu_id)
    decided = decide(settings, devices)
    choice = choose_model(settings, decided.compiled)
    with contextlib.ExitStack() as held, Progress() as progress:
        progress.stage("reading the videos", limit_s=INDEX_LIMIT_S)
        sources = find_sources(settings, choice.model)
        for source in sources:
            check_source(source, decided, settings.resume)
            held.enter_context(output_lock(source.folder))
        progress.stage("loading the network", limit_s=2 * Limits.start_s)
        limits = Limits(silent_s=settings.silence_limit_s)
        with Supervisor(load, choice, share_machine(settings, devices), limits) as supervisor:
            facts = supervisor.wait_until_ready(progress.beat)
            check_classes(settings, facts.settings.class_names)
            runs = [begin_run(source, decided, facts, choice.model) for source in sources]
            find_birds(supervisor, runs, progress)
        draw(settings, runs)
        report(runs, supervisor.problems)


def find_sources(settings: InferenceSettings, model: Path) -> list[Source]:
    """Return the videos with the folders their results go to; InputError for one that cannot be read."""
    names = settings.video_name or tuple(slug(path.stem) for path in settings.video_path)
    run = check_name(settings.run or f"{slug(model.stem)}-{date.today()}", "run")
    for name in names:
        if names.count(check_name(name, "video")) > 1:
            raise InputError(f"two videos are called {name}; tell them apart with --video-name")
    out = settings.base_out_dir.resolve()
    kept = index_cache(Project(out.parent)) if out.name == OUTPUT else None  # a project has the indexes of its videos
    return [
        Source(name, path.resolve(), out / name / run, load_index(path, kept), kept)
        for name, path in zip(names, settings.video_path, strict=True)
    ]


def find_birds(supervisor: Supervisor, runs: Sequence[VideoRun], progress: Progress) -> None:
    """Have the chunks done that are missing, and finish each video as soon as its last chunk is on the disk."""
    left = [run.todo for run in runs]
    total = sum(len(chunk.frames) for run in runs for chunk in run.chunks)
    done = total - sum(len(chunk.frames) for chunks in left for chunk in chunks)
    progress.stage("finding birds", total, done=done)

    def finish(video: int) -> None:
        try:
            finish_run(runs[video])
        except InputError as error:  # not one frame could be decoded: no reason to give up the other videos
            supervisor.problems[video] = str(error)

    for video, chunks in enumerate(left):
        if not chunks:
            finish(video)

    def saved(work: Work) -> None:
        nonlocal done
        done += len(work.chunk.frames)
        left[work.video].remove(work.chunk)
        if not left[work.video]:
            finish(work.video)

    todo = [Work(video, chunk) for video, chunks in enumerate(left) for chunk in chunks]
    supervisor.run([run.plan for run in runs], todo, saved, lambda under_way: progress.update(done + under_way))


def draw(settings: InferenceSettings, runs: Sequence[VideoRun]) -> None:
    """Write the pictures that were asked for; `backend.visualize` makes them at any later time, too."""
    kinds = [kind for kind, wanted in (("mp4", settings.visualize), ("masks", settings.save_mask)) if wanted]
    for run in runs if kinds else ():
        if run.manifest.complete:
            folder, score = str(run.plan.folder), str(settings.score_threshold)
            visualize(["--detections", folder, "--to", *kinds, "--score-threshold", score])


def report(runs: Sequence[VideoRun], problems: Mapping[int, str]) -> None:
    """Say what was found, and end with an error if a video could not be finished."""
    for run in runs:
        if run.manifest.complete:
            counts = run.manifest.counts
            print(f"{run.plan.name}: {counts['detections']} detections in {counts['frames']} frames, {run.plan.folder}")
    if problems:
        raise RuntimeError("; ".join(f"{runs[video].plan.path}: {why}" for video, why in problems.items()))


if __name__ == "__main__":
    run_script("inference", main)
