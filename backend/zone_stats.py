"""Statistics of zones from tracks (with corrections applied) or bare detections: tables, plots, a report.

    python -m backend.zone_stats --tracks data/track_output/lek-north/ruffs-1 --out data/statistics/courts
    python -m backend.zone_stats --detections data/inference_output/lek-*/run --out data/statistics/counts --birds 20

Zones come from `zones/CAMERA.json` of the project unless --zones names a file. Two kinds of error are kept apart:
sampling error (a recording is a piece of time) and identity error (wrong names); what the detector misses is a third.
`docs/user-guide.md` explains every setting, the sheet `about` of the workbook every column.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, model_validator

from backend.jobs.progress import Progress
from backend.jobs.script import Option, ScriptParser, ScriptSettings, checked, run_script
from backend.project.disk import check_space
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import begin_manifest, finished_file, now
from backend.project.settings import load_settings
from backend.zones.inputs import Source, find_source, open_source, refuse_overlaps
from backend.zones.measures import Tables, measure
from backend.zones.occupancy_map import OccupancyMaps
from backend.zones.pooled import pool_tables
from backend.zones.report import write_report
from backend.zones.settings import StatisticsSettings
from backend.zones.table_files import write_tables
from backend.zones.time_budgets import make_bins

SPACE_BYTES = 50 * 1000**2


class ZoneStatsSettings(ScriptSettings):
    """Settings of a run; the help texts of the options say what each means."""

    tracks: Annotated[tuple[Path, ...], Option(metavar="DIR")] = Field(
        default=(), description="track runs, track_output/VIDEO/RUN"
    )
    detections: Annotated[tuple[Path, ...], Option(metavar="DIR")] = Field(
        default=(), description="detections runs: counts only, no identities"
    )
    zones: Annotated[tuple[Path, ...], Option(metavar="FILE")] = Field(
        default=(), description="zone files, one for all runs or one per run"
    )
    out: Annotated[Path, Option(metavar="DIR")] = Field(
        description="new folder for the results, such as statistics/NAME"
    )
    camera: tuple[str, ...] = Field(
        default=(), description="camera of each run; by default that of the project's video"
    )
    start_time: tuple[AwareDatetime, ...] = Field(
        default=(), description="clock time of frame 0 of each run, with time zone"
    )
    measures: StatisticsSettings

    @model_validator(mode="after")
    def _fit_together(self) -> "ZoneStatsSettings":
        n = len(self.tracks) + len(self.detections)
        if n == 0:
            raise ValueError("give --tracks or --detections")
        for name, allowed in (("zones", (0, 1, n)), ("camera", (0, n)), ("start_time", (0, n))):
            if len(getattr(self, name)) not in allowed:
                raise ValueError(f"--{name.replace('_', '-')}: {len(getattr(self, name))} given for {n} runs")
        return self


def main(argv: list[str]) -> None:
    """Run the script; see the module's text."""
    settings = parse(argv)
    sources = find_sources(settings)
    inputs = {"runs": [source.identity() for source in sources]}
    with output_lock(settings.out), Progress() as progress:
        manifest = begin_manifest(settings.out, "zone_stats", inputs, settings.measures.model_dump(mode="json"))
        if manifest.complete:
            print(f"{settings.out}: was there already, nothing to do")
            return
        check_space(settings.out, SPACE_BYTES)
        manifest.write(settings.out)
        tables, heat = measure_all(sources, settings.measures, progress)
        _refuse_changed(sources, inputs["runs"])
        progress.stage("writing tables")
        files = write_tables(settings.out, tables)
        progress.stage("drawing")
        files += write_report(settings.out, tables, heat, manifest)
        manifest.counts = {"videos": len(sources), **{name: len(table) for name, table in tables.items()}}
        manifest.files = {name: finished_file(settings.out / name) for name in files}
        manifest.complete, manifest.finished = True, now()
        manifest.write(settings.out)
    print(f"{settings.out / 'report.html'}: the report; {len(sources)} videos, {len(tables)} tables")


def parse(argv: Sequence[str]) -> ZoneStatsSettings:
    """Return the checked arguments: the options of `ZoneStatsSettings` and those of `StatisticsSettings`."""
    parser = ScriptParser("backend.zone_stats", __doc__)
    parser.add_options(ZoneStatsSettings, exclude={"measures"})
    parser.add_options(StatisticsSettings)
    given = vars(parser.parse_args(argv))
    measures = {name: given.pop(name) for name in StatisticsSettings.model_fields if name in given}
    if "together" in measures:
        measures["together"] = dict(_together(text) for text in measures["together"])
    if "by" in measures:
        measures["by"] = measures["by"].replace("-", " ")
    measures["time_zone"] = measures.get("time_zone") or load_settings().time_zone
    return checked(ZoneStatsSettings, {**given, "measures": checked(StatisticsSettings, measures)})


def _together(text: str) -> tuple[str, tuple[str, ...]]:
    name, sign, zones = text.partition("=")
    if not sign or not name or not zones:
        raise InputError(f"--together {text!r} must be NAME=ZONE+ZONE")
    return name, tuple(zones.split("+"))


def find_sources(settings: ZoneStatsSettings) -> list[Source]:
    """Return the runs with their zones; InputError for one that cannot be used, or that is given twice."""
    folders = [*settings.tracks, *settings.detections]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("one run is given twice")

    def each(values: Sequence[Path | str | datetime], place: int):
        return None if not values else values[place if len(values) > 1 else 0]

    found = [
        find_source(folder, each(settings.zones, k), each(settings.camera, k), each(settings.start_time, k))
        for k, folder in enumerate(folders)
    ]
    for source, folder in zip(found, folders, strict=True):
        if source.tracked != (folder in settings.tracks):
            option = "--tracks" if source.tracked else "--detections"
            raise InputError(f"{folder} belongs to {option}")
    videos = [(source.video, source.tracked) for source in found]
    twice = next((video for video, tracked in videos if videos.count((video, tracked)) > 1), None)
    if twice:
        raise InputError(f"two runs on {twice} are given; its birds would count twice")
    return found


def _refuse_changed(sources: Sequence[Source], measured: Sequence[dict[str, Any]]) -> None:
    """Refuse results of inputs that the manifest does not name: they are read long after it was begun."""
    for source, before in zip(sources, measured, strict=True):
        now_there = source.identity()
        changed = [name for name in before if before[name] != now_there[name]]
        if changed:
            raise InputError(
                f"{source.video} was changed while it was measured ({', '.join(changed)}); choose another folder"
            )


def measure_all(
    sources: Sequence[Source], measures: StatisticsSettings, progress: Progress
) -> tuple[Tables, OccupancyMaps]:
    """Measure one video after the other; memory holds one recording and all tables."""
    refuse_overlaps(sources)
    parts, heat = [], OccupancyMaps()
    progress.stage("measuring", len(sources), limit_s=1800)
    for done, source in enumerate(sources):
        opened = open_source(source, measures)
        parts.append(measure(opened.recording, opened.zones, opened.facts, measures, opened.masks))
        heat.add(source, opened, make_bins(opened.recording, None, measures.from_s, measures.to_s))
        progress.update(done + 1, source.video)
    return pool_tables(parts), heat


if __name__ == "__main__":
    run_script("zone_stats", main)
