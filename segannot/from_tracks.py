"""Turn corrected tracks into outlines, so that the next training learns from the corrections.

    python -m segannot.from_tracks --tracks data/track_output/lek/night-1 --most 40
    python -m segannot.from_tracks --tracks data/track_output/lek/night-1 --frames 120,500,900-910

The masks of the birds are written into the project's ``segannot/VIDEO/`` as one act, which SegAnnot can undo. Masks
drawn on the board replace detected ones; detections marked as not a bird are left out. Two kinds of frames are left
out: those in which a bird has a box but no mask, because a network would learn it as background, and those whose
outlines a person drew or accepted in SegAnnot. Frames in which a person drew, and reviewed ones, count as accepted.
Afterwards: *Create training set* on the page Annotation, or backend.export_frames and backend.mask2coco.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from backend.export_frames import plan_frames
from backend.jobs.progress import Progress
from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.masks.objects import MaskOrigin
from backend.pipeline.detections import DetectionsRun, detections_of_tracks
from backend.pipeline.frame_views import view_of
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.paths import Project
from backend.tracking.io.training_frames import (
    LabelMap,
    birds_without_mask,
    choose_frames,
    drawn_frames,
    label_map,
    reviewed_frames,
)
from backend.tracking.tracks.corrections import replay
from backend.tracking.tracks.edits import read_log
from backend.tracking.tracks.track_folder import corrections_log, open_tracks, track_manifest
from backend.tracking.tracks.tracks import Tracks
from segannot.annotated_objects import AnnotatedObject, new_object
from segannot.store import AnnotationStore

KIND = "from tracks"
UNNAMED = "not told apart"  # stands in objects.json: objects of earlier runs are found by it
MAX_LISTED = 10  # frames left out that are printed


class FromTracksSettings(ScriptSettings):
    """The arguments of this script; the names are the options."""

    tracks: Path = Field(description="folder of a track run of a project")
    frames: str = Field(default="", description="frames and ranges, such as 1,5,9-20")
    most: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="choose up to this many frames: first those drawn in, then corrected, then watched ones",
    )

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> "FromTracksSettings":
        if bool(self.frames) == (self.most is not None):
            raise ValueError("give --frames, a list, or --most, a number")
        return self


def main(argv: list[str]) -> None:
    """Run the script."""
    settings = ScriptParser("segannot.from_tracks", __doc__).settings(FromTracksSettings, argv)
    manifest = track_manifest(settings.tracks)
    folder = settings.tracks.resolve()
    if folder.parent.parent.name != "track_output":
        raise InputError(f"{folder} is not in a project; outlines are stored in the project of their video")
    run = detections_of_tracks(folder, manifest)
    if run is None:
        raise InputError(f"{folder}: the detections behind these tracks are gone, and with them the masks")
    acts = read_log(corrections_log(folder, manifest))
    tracks = replay(open_tracks(folder, corrections=False), acts).tracks
    frames = selected_frames(settings, tracks, acts)
    drawn = drawn_frames(acts)
    accepted = drawn | set(reviewed_frames(acts, tracks.frames).tolist())
    target = Project(folder.parents[2]).segannot(folder.parent.name)
    with output_lock(target), Progress() as progress:
        store = AnnotationStore(target, (run.facts.width, run.facts.height))
        try:
            left_out = write_outlines(store, run, tracks, frames, accepted, progress)
        finally:
            store.close()
    for reason in left_out[:MAX_LISTED]:
        print(f"left out: {reason}")
    if len(left_out) > MAX_LISTED:
        print(f"left out: {len(left_out) - MAX_LISTED} more frames")
    print(f"{target}: outlines of {len(frames) - len(left_out)} frames, {len(left_out)} left out")


def selected_frames(settings: FromTracksSettings, tracks: Tracks, acts: Sequence) -> list[int]:
    """Return the requested frames, ascending; InputError if there are none."""
    if settings.most is not None:
        frames = choose_frames(tracks, acts, settings.most)
        if not frames:
            raise InputError("nothing was drawn, corrected or reviewed yet; list frames with --frames")
        return frames
    frames = plan_frames(int(tracks.frames.max(initial=-1)) + 1, frames=settings.frames).tolist()
    missing = sorted(set(frames) - set(tracks.frames.tolist()))
    if missing:
        raise InputError(f"--frames: frame {missing[0]} was not tracked")
    return frames


def write_outlines(
    store: AnnotationStore, run: DetectionsRun, tracks: Tracks, frames: list[int], accepted: set[int],
    progress: Progress,
) -> list[str]:  # fmt: skip
    """Write the outlines of ``frames`` as one act; return a line with the reason for each frame left out."""
    left_out: list[str] = []
    act = store.begin(KIND)
    progress.stage("writing outlines", len(frames))
    for done, frame in enumerate(frames, 1):
        reason = write_frame(store, run, tracks, frame, act, accepted)
        if reason:
            left_out.append(f"frame {frame}: {reason}")
        progress.update(done)
    act.end()
    return left_out


def write_frame(store: AnnotationStore, run: DetectionsRun, tracks: Tracks, frame: int, act, accepted: set[int]) -> str:
    """Write the outlines of one frame and return "", or return why it is left out."""
    origin = store.origins.get(frame)
    if origin is not None and origin.seen_by_a_person:
        return "a person drew or accepted its outlines in SegAnnot"
    detections = run.at(frame)
    if detections is None:
        return "its detections are missing"
    view = view_of(frame, 0.0, detections, tracks)
    boxes_only = birds_without_mask(view)
    if boxes_only:
        verb = "has" if len(boxes_only) == 1 else "have"
        return f"{', '.join(boxes_only)} {verb} a box and no mask; draw the mask on the board"
    if not len(view):
        return "it shows no birds"
    drawn = [track for at, track in tracks.drawn if at == frame]
    try:
        picture = label_map(view, store.size, drawn)
    except ValueError as error:
        return str(error)
    objects, labels = with_objects(store.objects, picture, run.facts.class_names)
    origin = MaskOrigin.REVIEWED if frame in accepted else MaskOrigin.PROPAGATED
    act.set_frame(frame, labels, origin, objects=objects if objects != store.objects else None)
    return ""


def with_objects(
    objects: list[AnnotatedObject], picture: LabelMap, class_names: tuple[str, ...]
) -> tuple[list[AnnotatedObject], np.ndarray]:
    """Return the objects, with new ones added, and the frame's label map with their ids.

    A named bird is the object with its name. Unassigned birds share numbered objects, one per bird of a frame.
    """
    objects = list(objects)
    value_of = np.zeros(256, np.uint8)
    unnamed = 0
    for k, (name, class_id) in enumerate(zip(picture.names, picture.class_ids, strict=True)):
        if not name:
            unnamed += 1
            name = f"{UNNAMED} {unnamed}"
        own = next((entry for entry in objects if entry.name == name), None)
        if own is None:
            own = new_object(objects, name, class_names[class_id - 1])
            objects.append(own)
        value_of[k + 1] = own.id
    return sorted(objects, key=lambda entry: entry.id), value_of[picture.labels]


if __name__ == "__main__":
    run_script("from_tracks", main)
