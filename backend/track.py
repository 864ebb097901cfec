"""Follow each bird through a video with its identity, from the detections of one run.

    python -m backend.track --detections data/inference_output/lek/ruffs-1 --n-birds 20
    python -m backend.track --detections data/inference_output/lek/ruffs-1 --zones data/zones/north.json --run night-2
    python -m backend.track --detections /tmp/imported --out /tmp/tracks --n-birds 8 --no-appearance

Writes ``tracks.parquet``, ``tracklets.parquet``, ``doubts.parquet``, ``frames.parquet`` and, where birds are described,
``birds.npz`` (for backend.match_identities) to ``track_output/VIDEO/RUN/`` of the project or to --out. Corrections
that people made of earlier tracks of the same detections are kept: their names and joins are constraints.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from backend.jobs.progress import Progress
from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.pipeline.detections import DetectionsRun, open_detections
from backend.project.atomic import atomic_file, atomic_json
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import begin_manifest, file_identity, finished_file, now
from backend.project.paths import Project, check_name
from backend.tracking.appearance.store import embedding_space, embeddings_digest
from backend.tracking.linking.calibration import MOTION_ONLY, OPEN_SET, WITH_EMBEDDINGS, calibrated
from backend.tracking.linking.constraints import bird_names, constraints_of, edited_segments
from backend.tracking.linking.entry_exit import begin_reasons, end_reasons, entry_exit, with_hidden_zones
from backend.tracking.linking.false_positives import FALSE_POSITIVE_NATS, false_positive_log_odds
from backend.tracking.linking.gibbs_moves import UNASSIGNED
from backend.tracking.linking.link import link, n_sweeps
from backend.tracking.linking.linking_input import LinkingInput, linking_input_of, select_segments
from backend.tracking.linking.n_animals import max_simultaneous
from backend.tracking.linking.open_set import link_open_set
from backend.tracking.linking.result import Identities, LinkingResult, identities_of, track_rows, tracklet_table
from backend.tracking.online.camera_motion import camera_motion, write_camera_motion
from backend.tracking.review.doubts import doubt_table, expected_error, find_doubts
from backend.tracking.review.duplicate_tracks import find_duplicates
from backend.tracking.tracks.corrections import replay
from backend.tracking.tracks.edits import Edit, read_log
from backend.tracking.tracks.schemas import BIRDS, CAMERA, DOUBTS, FRAMES, SUMMARY, TRACKLETS, TRACKS
from backend.tracking.tracks.track_folder import corrections_path, write_table, write_tracks
from backend.tracking.tracks.tracks import NONE, Tracks
from backend.tracking.tracks.video_of_run import open_video_of
from backend.zones.zone_file import read_zones

SCRIPT = "track"
INFERENCE = "inference_output"
STAGE_LIMIT_S = 900.0  # one chunk of stage 1, one sweep of stage 2
MOST_BIRDS = 200
LEAST_PROBABILITY = 0.5  # below, an identity is more likely wrong than right


class TrackSettings(ScriptSettings):
    """The arguments of this script; the names are the options."""

    detections: Path = Field(description="folder of a detections run (backend.inference, backend.import_detections)")
    out: Path | None = Field(
        default=None, description="folder to write to; by default track_output/VIDEO/RUN of the detections' project"
    )
    run: str | None = Field(default=None, description="name of the run; by default that of the detections run")
    n_birds: int | None = Field(
        default=None, ge=1, le=MOST_BIRDS, description="number of birds, if known; by default it is estimated"
    )
    zones: Path | None = Field(
        default=None, description="zones/CAMERA.json: birds may vanish in its hidden zones and come back"
    )
    corrections: Path | None = Field(
        default=None, description="corrections log to apply; by default that of these detections"
    )
    no_corrections: bool = Field(default=False, description="ignore all corrections")
    appearance: Path | None = Field(
        default=None, description="folder of the embeddings; by default the detections' folder"
    )
    no_appearance: bool = Field(default=False, description="track by motion alone")
    camera_motion: Literal["off", "estimate"] = Field(
        default="off", description="whether to estimate from the video how the camera moved"
    )
    video_path: Path | None = Field(default=None, description="the video, if it was moved since; for --camera-motion")
    least_probability: float = Field(
        default=LEAST_PROBABILITY,
        ge=0,
        le=1,
        description="minimum probability of an identity; below it a stretch gets none and its bird counts as lost",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="random seed; the same seed gives the same tracks")


def main(argv: list[str]) -> None:
    """Run the script."""
    settings = ScriptParser("backend.track", __doc__).settings(TrackSettings, argv)
    run = open_detections(settings.detections.resolve())
    if not run.complete:
        raise InputError(f"{run.folder} is not finished ({len(run.missing())} chunks are missing); resume it first")
    out = output_folder(settings, run)
    zones = None if settings.zones is None else read_zones(settings.zones)
    with output_lock(out), Progress() as progress:
        log = settings.corrections or corrections_path(out, run.folder.name)
        acts = () if settings.no_corrections else read_log(log)
        manifest = begin_manifest(
            out, SCRIPT, origin_of(settings, run, log, acts), chosen(settings, run), {"detections"}
        )
        if manifest.complete:
            print(f"{out}: these tracks are there already, nothing to do")
            return
        manifest.write(out)
        motion = None if settings.camera_motion == "off" else how_the_camera_moved(settings, run, out, progress)
        progress.stage("following birds", run.facts.frame_end - run.facts.frame_start, limit_s=STAGE_LIMIT_S)
        inputs = linking_input_of(run, appearance_folder(settings, run), progress.update, motion)
        if zones is not None:
            inputs = with_hidden_zones(inputs, zones)
        facts = find_identities(settings, run, inputs, acts, out, progress)
        manifest.counts = facts["counts"]
        names = [name for name in (TRACKS, TRACKLETS, DOUBTS, FRAMES, BIRDS, CAMERA, SUMMARY) if (out / name).exists()]
        manifest.files = {name: finished_file(out / name) for name in names}
        manifest.complete, manifest.finished = True, now()
        manifest.write(out)
    print(summary_text(facts), out, sep="\n")


def output_folder(settings: TrackSettings, run: DetectionsRun) -> Path:
    """Return the folder to write to; InputError where the detections are in no project and --out is not given."""
    if settings.out is not None:
        return settings.out.resolve()
    video = run.folder.parent
    if video.parent.name != INFERENCE:
        raise InputError(f"{run.folder} is in no project; say where to write with --out")
    return Project(video.parent.parent).track_output(video.name, check_name(settings.run or run.folder.name, "run"))


def appearance_folder(settings: TrackSettings, run: DetectionsRun) -> Path | None:
    """Return the folder of the descriptors; None where tracking goes by motion alone."""
    return None if settings.no_appearance else settings.appearance or run.folder


def origin_of(settings: TrackSettings, run: DetectionsRun, log: Path, acts: Sequence[Edit]) -> dict[str, Any]:
    """Return what the tracks are made from."""
    files = run.manifest.files
    found: dict[str, Any] = {"detections_run": run.folder.name, "detections": str(run.folder)}
    found["detections_files"] = {name: files[name].sha256 for name in sorted(files) if name.startswith("detections_")}
    found["zones"] = None if settings.zones is None else file_identity(settings.zones)
    found["corrections"] = file_identity(log) if acts else None
    folder = appearance_folder(settings, run)
    found["descriptors"] = None if folder is None else embeddings_digest(folder, run.chunks)
    return found


def chosen(settings: TrackSettings, run: DetectionsRun) -> dict[str, Any]:
    """Return the settings that decide the result, and what readers need to know of the video."""
    facts = run.facts
    names = {"n_birds", "no_appearance", "camera_motion", "least_probability", "seed"}
    return {
        **settings.model_dump(include=names),
        "appearance": str(settings.appearance or ""),
        **{"video": facts.video, "width": facts.width, "height": facts.height, "fps": facts.fps},
    }


def how_the_camera_moved(settings: TrackSettings, run: DetectionsRun, out: Path, progress: Progress) -> np.ndarray:
    """Estimate the motion of the camera, (F, 6) for each frame, and write it to ``camera.parquet``."""
    frames = run.frames().frame
    with open_video_of(run, settings.video_path) as reader:
        progress.stage("looking how the camera moved", len(frames), limit_s=STAGE_LIMIT_S)
        motion = camera_motion(run, reader, progress.update)
    write_camera_motion(out / CAMERA, frames, motion)
    return motion


def find_identities(
    settings: TrackSettings,
    run: DetectionsRun,
    inputs: LinkingInput,
    acts: Sequence[Edit],
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Run stage 2 and write all files; return what is worth saying."""
    constraints = constraints_of(inputs, acts, settings.n_birds)
    size = run.facts.width, run.facts.height
    begins, ends = begin_reasons(inputs, size), end_reasons(inputs, size)
    n_birds = settings.n_birds or max(len(constraints.names), min(MOST_BIRDS, max_simultaneous(inputs)))
    progress.stage("finding identities", n_sweeps(inputs), limit_s=STAGE_LIMIT_S)
    kind = MOTION_ONLY if inputs.embeddings is None else WITH_EMBEDDINGS
    if settings.n_birds is None and inputs.embeddings is None:
        kind = OPEN_SET
        linked = link_open_set(inputs, constraints)
    else:
        sources_and_sinks = None if settings.n_birds else entry_exit(begins, ends)
        linked = link(inputs, n_birds, settings.seed, constraints, progress.update, sources_and_sinks, MOST_BIRDS)
    names = bird_names(constraints.names, linked.p.shape[1] - 1)
    if settings.n_birds is None:
        linked, kept = only_seen(linked, len(constraints.names))
        names = tuple(names[k] for k in kept)
    who = identities_of(linked, names, lambda share: calibrated(share, kind))
    who = likely(told_by_people(who, constraints.labels), settings.least_probability)
    somebody = 1 - linked.p[:, -1]
    if kind != OPEN_SET:
        keep = (who.bird >= 0) | edited_segments(inputs, acts) | (false_positive_log_odds(inputs) < FALSE_POSITIVE_NATS)
        inputs, who, somebody = select_segments(inputs, keep), who.only(keep), somebody[keep]
        begins, ends = begins[keep], ends[keep]
    progress.stage("writing", 4, limit_s=STAGE_LIMIT_S)
    tracks = track_rows(inputs, who, settings.n_birds is not None)
    doubts = find_doubts(inputs, who, begins, somebody, find_duplicates(run, tracks))
    write_tracks(out, tracks)
    write_table(out / TRACKLETS, tracklet_table(inputs, who, begins, ends))
    write_table(out / DOUBTS, doubt_table(inputs, who, doubts))
    described = appearance_folder(settings, run)
    if described is not None:
        turned = inputs.detections.reduced  # by this video's own directions, which no other has
        write_birds(out / BIRDS, linked, who.names, str(out) if turned else embedding_space(described))
    problems = [f"act {each.id}: {each.problem}" for each in replay(tracks, acts).outcomes if each.problem]
    facts = {
        "birds": len(who.names),
        "described": kind == WITH_EMBEDDINGS,
        "expected_error": expected_error(inputs, who),
        "in_tracks": in_tracks(inputs, tracks),
        "corrections": len(acts),
        "corrections_that_do_not_apply": problems,
        "counts": {"frames": len(inputs.frames), "rows": len(tracks), "birds": len(who.names), "doubts": len(doubts)},
    }
    atomic_json(out / SUMMARY, facts)
    return facts


def in_tracks(inputs: LinkingInput, tracks: Tracks) -> float | None:
    """Return the share of detections that tracks show; None without any detection."""
    n = len(inputs.detections.at)
    return float(np.sum(tracks.detection != NONE) / n) if n else None


def only_seen(linked: LinkingResult, named: int) -> tuple[LinkingResult, np.ndarray]:
    """Return the same without birds that were never seen, and the numbers of those that are left.

    The first ``named`` birds stay in any case.
    """
    n = linked.p.shape[1] - 1
    kept = np.array([k for k in range(n) if k < named or (linked.bird == k).any()], np.int64)
    number = np.full(n + 1, -1)
    number[kept] = np.arange(len(kept))
    birds = linked.appearances
    if birds is not None:
        birds = type(birds)(birds.model, birds.centres[kept], birds.covariances[kept])
    states = number[linked.samples].astype(np.int16)
    return LinkingResult(number[linked.bird], states, linked.p[:, [*kept, n]], birds, linked.chain), kept


def told_by_people(who: Identities, pins: np.ndarray) -> Identities:
    """Return the same, certain where a person said who it is."""
    right = (pins >= 0) & (who.bird == pins)
    return replace(who, p=np.where(right, 1.0, who.p), p_second=np.where(right, 0.0, who.p_second))


def likely(who: Identities, least: float) -> Identities:
    """Return the same without identities of less than the probability ``least``; they are the next likely then."""
    unsure = (who.bird >= 0) & (who.p < least)
    return replace(
        who,
        bird=np.where(unsure, UNASSIGNED, who.bird),
        p=np.where(unsure, 0.0, who.p),
        second=np.where(unsure, who.bird, who.second),
        p_second=np.where(unsure, who.p, who.p_second),
    )


def write_birds(path: Path, linked: LinkingResult, names: Sequence[str], space: str) -> None:
    """Write what each bird looks like: names, centres, covariances, the model and the ``space`` they belong to."""
    if linked.appearances is None:
        return
    birds = linked.appearances
    with atomic_file(path) as file:
        np.savez(
            file,
            names=np.array(names, dtype=str),
            centres=birds.centres,
            covariances=birds.covariances,
            mean=birds.model.mean,
            between=birds.model.between,
            space=np.array(space),
        )


def summary_text(facts: dict[str, Any]) -> str:
    """Return the result in a few plain words."""
    error, share = facts["expected_error"], facts["in_tracks"]
    words = f"{facts['birds']} birds, expected identity error "
    words += "not known: no bird has an identity, " if error is None else f"{100 * error:.1f} % of bird-time, "
    words += f"{facts['counts']['doubts']} doubts, "
    words += "no detections" if share is None else f"{100 * share:.0f} % of detections in tracks"
    if not facts["described"]:
        words += "; by motion alone, without descriptors of what birds look like"
    for problem in facts["corrections_that_do_not_apply"]:
        words += f"\ncorrection does not apply: {problem}"
    return words


if __name__ == "__main__":
    run_script("track", main)
