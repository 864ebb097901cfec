"""What a new model changed in the end: mask AP, HOTA and zone means of one video, before and after.

    python -m backend.before_after --before track_output/lek/old --after track_output/lek/new --out /tmp/changed
    python -m backend.before_after --before ... --after ... --truth sample_truth/lek --compared /tmp/diff --out ...

Both runs are taken as tracking wrote them, without corrections: those of the first would be counted for it. What people
made of the first run stands beside them as *corrected*. AP comes from ``backend.models compare`` (--compared), HOTA
needs a truth (--truth: a rendered lek or MOT text), zone means need the zones of the camera. Writes
``before_after.json`` and ``README.md``.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import Field

from backend.evaluate_tracking import EvaluateSettings, side_by_side
from backend.jobs.progress import Progress
from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.pipeline.detections import detections_of_tracks, model_of_tracks
from backend.project.atomic import atomic_json, atomic_write
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import Manifest, begin_manifest, file_identity, finished_file, now, read_manifest
from backend.tracking.evaluation.metrics import tracking_metrics
from backend.tracking.tracks.schemas import TRACKS
from backend.tracking.tracks.track_folder import open_tracks, track_manifest
from backend.training.model_folder import COMPARISON_FILE
from backend.zones.bird_sequences import recording_from_tracks
from backend.zones.inputs import Source, find_source
from backend.zones.measures import measure
from backend.zones.settings import StatisticsSettings, VideoFacts
from backend.zones.zone_file import read_zones

SCRIPT, RESULT, CARD = "before_after", "before_after.json", "README.md"
SIDES = ("before", "after")


class BeforeAfterSettings(ScriptSettings):
    """The arguments of this script; the names are the options."""

    before: Path = Field(description="track run with the old model")
    after: Path = Field(description="track run of the same video with the new model")
    out: Path = Field(description="folder to write to")
    truth: Path | None = Field(default=None, description="folder of backend.simulate, truth.parquet, or MOT text")
    compared: Path | None = Field(
        default=None, description="folder of backend.models compare of the same two models, old one first"
    )
    zones: Path | None = Field(default=None, description="zone file; by default that of the video's camera")


def main(argv: list[str]) -> None:
    """Run the script."""
    settings = ScriptParser("backend.before_after", __doc__).settings(BeforeAfterSettings, argv)
    manifests = {side: track_manifest(getattr(settings, side)) for side in SIDES}
    frames = [open_tracks(getattr(settings, side), corrections=False).frames for side in SIDES]
    if frames[0].tolist() != frames[1].tolist():
        raise InputError(f"{settings.before} and {settings.after} are not of the same frames of one video")
    with Progress() as progress:
        progress.stage("measuring", 3, limit_s=1800)
        rows = average_precision(settings, manifests)
        progress.update(1)
        rows += tracking(settings)
        progress.update(2)
        rows += zone_means(settings)
        progress.update(3)
        if not rows:
            raise InputError("nothing to compare: give --truth, --compared, or draw zones for this camera")
    content = {
        "models": {side: model_of_tracks(getattr(settings, side), manifests[side]) for side in SIDES},
        "rows": rows,
    }
    content |= {side: str(getattr(settings, side)) for side in SIDES}
    with output_lock(settings.out):
        inputs = {side: file_identity(getattr(settings, side) / TRACKS) for side in SIDES}
        given = {name: str(getattr(settings, name) or "") for name in ("truth", "compared", "zones")}
        manifest = begin_manifest(settings.out, SCRIPT, {**inputs, **given}, {})
        manifest.complete = False  # corrections of the first run may have grown
        manifest.write(settings.out)
        atomic_json(settings.out / RESULT, content)
        atomic_write(settings.out / CARD, card(content))
        manifest.files = {name: finished_file(settings.out / name) for name in (RESULT, CARD)}
        manifest.complete, manifest.finished = True, now()
        manifest.write(settings.out)
    print(card(content))


def average_precision(settings: BeforeAfterSettings, manifests: dict[str, Manifest]) -> list[dict[str, Any]]:
    """Return mask AP of both models; InputError if they are not those that found the birds."""
    if settings.compared is None:
        return []
    compared = read_manifest(settings.compared)
    if compared is None or compared.script != "compare" or not compared.complete:
        raise InputError(f"{settings.compared} holds no comparison; make one with python -m backend.models compare")
    found = json.loads((settings.compared / COMPARISON_FILE).read_bytes())
    row: dict[str, Any] = {"figure": "Mask AP, %", "of": Path(found["val_annot"]).name}
    for side, key in zip(SIDES, "ab", strict=True):
        run = detections_of_tracks(getattr(settings, side), manifests[side])
        if run is None or run.manifest.inputs.get("model_identity") != compared.inputs[key]:
            raise InputError(f"{settings.compared}: model {key} is not the one behind {getattr(settings, side)}")
        ap = found["figures"][key]["metrics"]["mask"]["ap"]
        row[side] = None if ap is None else 100 * ap
    return [row]


def tracking(settings: BeforeAfterSettings) -> list[dict[str, Any]]:
    """Return HOTA and IDF1 of boxes, %."""
    if settings.truth is None:
        return []
    found = {}
    for column in (*SIDES, "corrected"):
        run = settings.after if column == "after" else settings.before
        evaluation = EvaluateSettings(
            truth=settings.truth, tracks=run, out=settings.out, corrected=column == "corrected"
        )
        found[column] = tracking_metrics(side_by_side(evaluation, masks=False))
    return [
        {"figure": f"{name}, %", "of": settings.truth.name, **{c: 100 * found[c][name] for c in found}}
        for name in ("HOTA", "IDF1")
    ]


def zone_means(settings: BeforeAfterSettings) -> list[dict[str, Any]]:
    """Return the mean number of birds in each zone, outside and lost; none where the camera has no zones."""
    try:
        source = find_source(settings.before, settings.zones)
    except InputError:
        if settings.zones is not None:
            raise
        return []
    columns = {column: birds_in_zones(settings, source, column) for column in (*SIDES, "corrected")}
    return [
        {"figure": f"Birds in {zone}", "of": f"{source.video}, mean number", **{c: columns[c][zone] for c in columns}}
        for zone in columns["before"]
    ]


def birds_in_zones(settings: BeforeAfterSettings, source: Source, column: str) -> dict[str, float]:
    """Return the mean number of birds in each place over the whole video."""
    run = settings.after if column == "after" else settings.before
    zones = read_zones(source.zones_file)
    recording = recording_from_tracks(open_tracks(run, corrections=column == "corrected"))
    facts = VideoFacts(source.video, source.camera, source.start_time, (), 0, zones.version, {"run": run.name})
    counts = measure(recording, zones, facts, StatisticsSettings(draws=0))["counts"]
    return {str(zone): float(birds) for zone, birds in zip(counts["zone"], counts["birds"], strict=True)}


def card(content: dict[str, Any]) -> str:
    """Return the figures as a table in Markdown."""
    lines = [
        f"Before: {content['models']['before'] or 'unknown model'}, {content['before']}  ",
        f"After: {content['models']['after'] or 'unknown model'}, {content['after']}",
        "",
        "| | Before | After | Before, corrected by people | Of |",
        "|---|---:|---:|---:|---|",
    ]
    for row in content["rows"]:
        shown = ["" if row.get(column) is None else f"{row[column]:.2f}" for column in (*SIDES, "corrected")]
        lines.append(f"| {row['figure']} | {' | '.join(shown)} | {row['of']} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(SCRIPT, main)
