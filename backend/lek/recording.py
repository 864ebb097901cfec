"""A lek filmed into a folder: everything `python -m backend.simulate` writes, each file whole or not there."""

import contextlib
import shutil
from pathlib import Path
from typing import Protocol

import numpy as np

from backend.jobs.progress import Progress
from backend.lek.arena import courts, zones
from backend.lek.events import EventLog, as_line
from backend.lek.lek_settings import LekSettings
from backend.lek.outlines import Outliner
from backend.lek.simulated_embeddings import AppearanceWriter
from backend.lek.truth import TruthWriter
from backend.lek.world import Lek, found, live
from backend.masks.colours import as_hex, colour_of
from backend.masks.objects import OBJECTS, LabelledObject, write_objects
from backend.project.atomic import atomic_file, atomic_json, remove_temporary
from backend.project.disk import check_space
from backend.project.errors import InputError
from backend.project.locks import LOCK, output_lock
from backend.project.manifest import MANIFEST, begin_manifest, finished_file, now

SCRIPT = "simulate"
VIDEO, TRUTH, APPEARANCE, EVENTS = "video.mp4", "truth.parquet", "appearance.parquet", "events.jsonl"
ZONES, MASKS = "zones.json", "masks"
BYTES_PER_BIRD_FRAME = 220  # truth with run lengths and appearance
BITS_PER_PIXEL_FRAME = 0.35  # of video, generous


class Filmer(Protocol):
    """A way to film: with rendering or without."""

    def film(self, first: int, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return views and run lengths; see `Outliner.film`."""


def record(out: Path, settings: LekSettings, video: bool = True, masks: bool = True, mask_every: int = 0) -> bool:
    """Film a lek into ``out``. Return False where it lies there already, whole and with the same settings.

    What an interrupted run left is removed and made anew: a lek has no state worth saving.

    With ``masks`` the truth holds run lengths; with ``video``, ``mask_every`` asks for an indexed PNG of every so many
    frames (0: none).

    Raises
    ------
    InputError
        If the folder holds something else, or is being written, or the disk is too full.
    """
    _refuse_foreign(out)
    with output_lock(out):
        asked = {**settings.as_dict(), "video": video, "masks": masks, "mask_every": mask_every}
        manifest = begin_manifest(out, SCRIPT, {}, asked)
        if manifest.complete:
            return False
        check_space(out, _estimate(settings, video))
        manifest.write(out)
        _clear(out)
        lek = found(settings)
        with Progress() as progress:
            manifest.counts = _film(out, lek, video, masks, mask_every, progress)
        names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
        manifest.files = {name: finished_file(out / name) for name in names if name not in (MANIFEST, LOCK)}
        manifest.complete, manifest.finished = True, now()
        manifest.write(out)
    return True


def _film(out: Path, lek: Lek, video: bool, masks: bool, mask_every: int, progress: Progress) -> dict[str, int]:
    settings = lek.settings
    content = zones(lek.camera, lek.arena, courts(lek.arena, _homes(lek)))
    atomic_json(out / ZONES, content)
    write_objects(out, objects(settings.birds))
    counts = {"frames": 0, "birds": settings.birds, "rows": 0, "events": 0}
    with contextlib.ExitStack() as stack:
        events = stack.enter_context(atomic_file(out / EVENTS))
        truth = stack.enter_context(TruthWriter(stack.enter_context(atomic_file(out / TRUTH)), lek))
        appearance = None
        if video:
            from backend.lek.film import Renderer  # encoder and renderer take seconds to load

            progress.stage("painting the ground")
            masks_to = (out / MASKS, mask_every) if mask_every else None
            filmer: Filmer = stack.enter_context(Renderer(lek, out / VIDEO, masks, masks_to, progress))
        else:
            filmer = Outliner(lek, masks)
            appearance = stack.enter_context(AppearanceWriter(stack.enter_context(atomic_file(out / APPEARANCE)), lek))
            progress.stage("filming", settings.n_frames)
        log = EventLog(lek, content)
        for first, states in live(lek):
            views, codes = filmer.film(first, states)
            truth.write(first, states, views, codes)
            if appearance:
                appearance.write(first, states, views)
            for event in log.follow(first, states):
                events.write(as_line(event))
                counts["events"] += 1
            counts["frames"] += len(states)
            counts["rows"] += states.size
            progress.update(counts["frames"])
    return counts


def objects(birds: int) -> list[LabelledObject]:
    """Return what ``objects.json`` says of the birds."""
    return [
        LabelledObject(id=bird, name=f"bird {bird:02d}", class_name="ruff", colour=as_hex(colour_of(bird)))
        for bird in range(1, birds + 1)
    ]


def _homes(lek: Lek) -> np.ndarray:
    return np.column_stack([lek.temperament["home_x"], lek.temperament["home_y"]])


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out must name a folder")
    if out.is_dir() and not (out / MANIFEST).exists() and any(entry.name != LOCK for entry in out.iterdir()):
        raise InputError(f"{out} is not empty and holds no {MANIFEST}; choose a new or an empty folder")


def _clear(out: Path) -> None:
    remove_temporary(out)
    for name in (VIDEO, TRUTH, APPEARANCE, EVENTS, OBJECTS, ZONES):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / MASKS, ignore_errors=True)


def _estimate(settings: LekSettings, video: bool) -> int:
    rows = settings.n_frames * settings.birds * BYTES_PER_BIRD_FRAME
    width, height = settings.size
    return int(rows + video * settings.n_frames * width * height * BITS_PER_PIXEL_FRAME / 8)
