"""Export exact frames of a video as lossless PNG.

    python -m backend.export_frames --src lek-north.mp4 --dest frames/lek-north --from-frame 0 --to-frame 500
    python -m backend.export_frames --src lek-north.mp4 --dest frames/lek-north --frames 1,5,9-20
    python -m backend.export_frames --src lek-north --from-frame 0 --to-frame 45000 --diverse 200

Frame 123 becomes 000123.png, whatever the request. Several exports of one video share a folder; frames that are there
and whole are kept, torn ones are replaced, and an export that was stopped or killed is finished by running it again.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from backend.jobs.progress import Progress
from backend.jobs.script import Option, ScriptParser, ScriptSettings, run_script
from backend.project.atomic import atomic_file, atomic_json, fsync_folder, remove_temporary
from backend.project.disk import check_space
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import (
    FinishedFile,
    begin_manifest,
    finished_file,
    now,
    read_manifest,
)
from backend.project.manifest import sha256 as file_sha256
from backend.project.paths import SLUG, Project
from backend.project.settings import load_settings
from backend.video.frame_errors import DamagedFrameError
from backend.video.frame_sampling import FEATURE_SIZE, describe, farthest_points, thin
from backend.video.index import PacketIndex, load_index
from backend.video.library import get_video, index_cache
from backend.video.png import PngEncoder, is_whole_png
from backend.video.reader import VideoReader
from backend.video.workers import WorkerPool, cut_stretches

REQUEST = "request.json"
SAMPLES = 3  # frames encoded to estimate the size of all
MARGIN = 1.2  # later frames may be richer than the samples
SAVE_EVERY = 64  # frames between two saves of the manifest: few enough to be flushed in a moment when a stop comes
STAGE_LIMIT_S = 300.0  # one GOP of the largest frames on a busy machine


class ExportSettings(ScriptSettings):
    """What to export. Frames are numbered from 0 in display order; ``[from_frame, to_frame)``."""

    src: str = Field(description="video file, or the short name of a video of the project")
    dest: Path | None = Field(default=None, description="folder for the frames (a video of the project has its own)")
    from_frame: Annotated[int, Option(also_called="--frame-start")] = Field(
        default=0, ge=0, description="first frame, counted from 0"
    )
    to_frame: Annotated[int | None, Option(also_called="--frame-end")] = Field(
        default=None, ge=1, description="frame after the last one; by default to the end of the video"
    )
    every: int = Field(default=1, ge=1, description="take every Nth frame of the range")
    frames: str = Field(default="", description="a list instead of a range: 1,5,9-20 (both ends included)")
    diverse: Annotated[int | None, Option(metavar="K")] = Field(
        default=None, ge=1, description="of these, take the K frames that differ most"
    )
    workers: int = Field(default=0, ge=0, le=256, description="number of processes; 0: one per CPU core")

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> "ExportSettings":
        if self.frames and (self.from_frame or self.to_frame is not None or self.every != 1 or self.diverse):
            raise ValueError("--frames is a list of its own; leave out --from-frame, --to-frame, --every and --diverse")
        return self


def plan_frames(
    n_frames: int,
    from_frame: int = 0,
    to_frame: int | None = None,
    every: int = 1,
    frames: str = "",
    diverse: int | None = None,
) -> np.ndarray:
    """Return (N,) int64, ascending: the frames that an export of a video with ``n_frames`` frames takes.

    With ``diverse`` these are the candidates of which that many will be chosen.

    Raises
    ------
    InputError
        If a frame lies outside the video, nothing is chosen, or there are fewer candidates than ``diverse``.
    """
    if frames:
        return _parse_list(frames, n_frames)
    end = n_frames if to_frame is None else to_frame
    if not 0 <= from_frame < end:
        raise InputError(f"range [{from_frame}, {end}) holds no frame; the first must be 0 or more and below the last")
    if end > n_frames:
        raise InputError(
            f"range [{from_frame}, {end}) goes beyond the video: it has {n_frames} frames, 0 to {n_frames - 1}"
        )
    chosen = np.arange(from_frame, end, every)
    if diverse is not None and diverse > len(chosen):
        raise InputError(f"{diverse} frames that differ cannot be chosen from {len(chosen)}")
    return chosen


def estimate(reader: VideoReader, frames: Sequence[int] | np.ndarray) -> int:
    """Return about how many bytes the PNGs of ``frames`` take, from a few of them; damaged ones tell nothing."""
    if len(frames) == 0:
        return 0
    encoder = PngEncoder(reader.size)
    sizes = []
    for place in np.unique(np.linspace(0, len(frames) - 1, SAMPLES).round().astype(int)):
        with contextlib.suppress(DamagedFrameError):
            sizes.append(sum(map(len, encoder.encode(reader.read([frames[place]])[0]))))
    mean = sum(sizes) / len(sizes) if sizes else 3 * reader.size[0] * reader.size[1]
    return int(MARGIN * len(frames) * mean)


def main(argv: list[str]) -> None:
    """Run one export; see the module's text."""
    settings = ScriptParser("backend.export_frames", __doc__).settings(ExportSettings, argv)
    source, dest, cache = _places(settings)
    with Progress() as progress:
        progress.stage("reading the video's index", limit_s=STAGE_LIMIT_S)
        index = load_index(source, cache, progress.beat)
        choice = settings.model_dump(include={"from_frame", "to_frame", "every", "frames", "diverse"})
        frames = plan_frames(len(index.pts), **choice)
        _check_dest(dest, index)
        _check_room(dest, source, index, frames, settings.diverse)
        frames, new = _export_locked(settings, source, dest, index, frames, progress)
    print(f"{len(frames)} frames in {dest}, {new} of them new")


def _export_locked(
    settings: ExportSettings, source: Path, dest: Path, index: PacketIndex, frames: np.ndarray, progress: Progress
) -> tuple[np.ndarray, int]:
    """Export as the one writer of ``dest``; return the frames that were chosen, and how many of them are new."""
    with output_lock(dest):
        folder = ExportFolder(dest, source, index)
        if settings.diverse is not None:
            frames = _choose(settings.diverse, frames, source, index, settings.workers, progress)
        missing = folder.missing(frames, progress)
        folder.begin(settings)
        _export(folder, frames, missing, settings.workers, progress)
        folder.finish(frames)
        return frames, len(missing)


class ExportFolder:
    """The folder of exported frames: what is there and whole, and its manifest. Hold its lock."""

    def __init__(self, path: Path, source: Path, index: PacketIndex):
        self.path = path
        self.source = source
        self.index = index
        _check_dest(path, index)
        self._manifest = begin_manifest(path, "export_frames", {"video": index.identity}, {"picture": "PNG, RGB 8 bit"})
        self._unflushed: list[str] = []

    def missing(self, frames: Sequence[int] | np.ndarray, progress: Progress) -> list[int]:
        """Return those of ``frames`` that are not there whole. What is listed, but gone, is taken off the manifest."""
        remove_temporary(self.path)
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(self.path)}
        for name, file in list(self._manifest.files.items()):
            if sizes.get(name) != file.size:
                (self.path / name).unlink(missing_ok=True)  # torn: it must not be taken for an unlisted whole one
                del self._manifest.files[name]
                sizes.pop(name, None)
        there = [frame for frame in frames if file_name(frame) in sizes]
        progress.stage("checking what is there", len(there))
        pool = ThreadPoolExecutor(_cores())
        try:
            for done, (frame, file) in enumerate(zip(there, pool.map(self._verified, there), strict=True), 1):
                self._manifest.files.pop(file_name(frame), None)
                if file is not None:
                    self._manifest.files[file_name(frame)] = file
                progress.update(done)
        finally:
            pool.shutdown(cancel_futures=True)  # a stop must not wait for thousands of checksums
        return [int(frame) for frame in frames if file_name(frame) not in self._manifest.files]

    def begin(self, settings: ExportSettings) -> None:
        """Write down that an export is going on, before its first frame."""
        atomic_json(self.path / REQUEST, settings.model_dump(mode="json"))
        self._manifest.complete, self._manifest.finished = False, None
        self._write()

    def add(self, frame: int, file: FinishedFile) -> None:
        """Take up a frame that a worker has written."""
        self._manifest.files[file_name(frame)] = file
        self._unflushed.append(file_name(frame))
        if len(self._unflushed) >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Flush the new frames to the disk, then list them in the manifest."""
        for name in self._unflushed:
            descriptor = os.open(self.path / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        fsync_folder(self.path)
        self._unflushed.clear()
        self._write()

    def finish(self, frames: Iterable[int]) -> None:
        """Mark the export complete, if all of ``frames`` are there."""
        absent = [frame for frame in frames if file_name(frame) not in self._manifest.files]
        if absent:
            raise RuntimeError(f"{len(absent)} frames were not written, {absent[0]} the first of them")
        self._manifest.complete, self._manifest.finished = True, now()
        self.save()

    def _verified(self, frame: int) -> FinishedFile | None:
        """Return the frame's entry if its file is whole: as listed, or by itself if a kill came before the listing."""
        path = self.path / file_name(frame)
        listed = self._manifest.files.get(path.name)
        if listed is not None:
            return listed if file_sha256(path) == listed.sha256 else None
        return finished_file(path) if is_whole_png(path, self.index.size) else None

    def _write(self) -> None:
        self._manifest.counts = {"frames": len(self._manifest.files)}
        self._manifest.files = dict(sorted(self._manifest.files.items()))
        self._manifest.write(self.path)


def file_name(frame: int) -> str:
    """Return the file name of an exported frame."""
    return f"{frame:06d}.png"


@contextlib.contextmanager
def exporter(source: Path, index: PacketIndex, dest: Path) -> Iterator[Callable[[Sequence[int]], Iterator]]:
    """Yield the function that exports a stretch of frames and says of each its number, size and checksum."""
    encoder = PngEncoder(index.size)
    picture = np.empty((1, index.size[1], index.size[0], 3), np.uint8)

    def export(stretch: Sequence[int]) -> Iterator[tuple[int, FinishedFile]]:
        for frame in stretch:
            reader.read([frame], out=picture)
            pieces, digest = encoder.encode(picture[0]), sha256()
            with atomic_file(dest / file_name(frame), durable=False) as file:  # flushed in bulk by ExportFolder.save
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
            yield frame, FinishedFile(size=sum(map(len, pieces)), sha256=digest.hexdigest())

    with VideoReader(source, index=index, threads=1) as reader:
        yield export


@contextlib.contextmanager
def describer(source: Path, index: PacketIndex) -> Iterator[Callable[[Sequence[int]], Iterator]]:
    """Yield the function that describes a stretch of frames: number and features of each, None for a damaged one."""

    def small(frame: int) -> np.ndarray | None:
        try:
            return reader.read([frame], size=FEATURE_SIZE)[0]
        except DamagedFrameError:
            return None

    def describe_stretch(stretch: Sequence[int]) -> Iterator[tuple[int, np.ndarray | None]]:
        for frame in stretch:
            before, here = small(max(frame - 1, 0)), small(frame)
            yield frame, None if here is None else describe(here, here if before is None else before)

    with VideoReader(source, index=index, threads=1) as reader:
        yield describe_stretch


def _places(settings: ExportSettings) -> tuple[Path, Path, Path | None]:
    """Return video file, destination and index cache."""
    if SLUG.match(settings.src) and not Path(settings.src).exists():
        project = Project(load_settings().project_folder)
        record = get_video(project, settings.src)
        if record.problem:
            raise InputError(record.problem)
        return Path(record.path), settings.dest or project.exported_frames(record.slug), index_cache(project)
    if settings.dest is None:
        raise InputError("--dest is missing: the folder for the frames")
    return Path(settings.src), settings.dest, None


def _check_dest(dest: Path, index: PacketIndex) -> None:
    """Refuse a folder that holds something else than frames of this video."""
    found = read_manifest(dest) if dest.is_dir() else None
    if found is not None and found.inputs.get("video") not in (None, index.identity):
        raise InputError(f"{dest} holds frames of another video, or of another version of it; choose another folder")
    if found is None and dest.is_dir() and any(entry.suffix == ".png" for entry in dest.iterdir()):
        raise InputError(f"{dest} holds pictures that no export has made; choose another folder")


def _check_room(dest: Path, source: Path, index: PacketIndex, frames: np.ndarray, diverse: int | None) -> None:
    """Refuse a destination that cannot be written or is too small, before anything is made there."""
    existing = dest.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise InputError(f"{existing} is a file; --dest must be a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{existing} cannot be written; choose another --dest or change its permissions")
    new = [frame for frame in frames.tolist() if not (dest / file_name(frame)).exists()]
    with VideoReader(source, index=index) as reader:
        need = estimate(reader, new)
    check_space(dest, need if diverse is None else need * diverse // len(frames))


def _choose(
    count: int, candidates: np.ndarray, source: Path, index: PacketIndex, workers: int, progress: Progress
) -> np.ndarray:
    """Return the ``count`` candidates that differ most, ascending. Damaged ones are no candidates."""
    pool = candidates if count > len(thin(candidates)) else thin(candidates)
    progress.stage("looking for frames that differ", len(pool), STAGE_LIMIT_S)
    features: dict[int, np.ndarray | None] = {}
    with WorkerPool(workers or _cores(), describer, source, index) as crew:
        for frame, found in crew.run(_stretches(pool.tolist(), index, workers)):
            features[frame] = found
            progress.update(len(features))
    sound = pool[[features[frame] is not None for frame in pool.tolist()]]
    if len(sound) < len(pool):
        print(f"{len(pool) - len(sound)} of {len(pool)} frames are damaged and left out", file=sys.stderr)
    if len(sound) < count:
        raise InputError(f"{count} frames that differ cannot be chosen from {len(sound)} that can be decoded")
    return sound[farthest_points(np.stack([features[frame] for frame in sound.tolist()]), count)]


def _export(folder: ExportFolder, frames: np.ndarray, missing: list[int], workers: int, progress: Progress) -> None:
    """Export the missing frames; what was finished is listed in the manifest however this ends."""
    done = len(frames) - len(missing)
    progress.stage("exporting", len(frames), STAGE_LIMIT_S, done)
    try:
        with WorkerPool(workers or _cores(), exporter, folder.source, folder.index, folder.path) as crew:
            for frame, file in crew.run(_stretches(missing, folder.index, workers)):
                folder.add(frame, file)
                done += 1
                progress.update(done)
    finally:
        remove_temporary(folder.path)
        folder.save()


def _stretches(frames: list[int], index: PacketIndex, workers: int) -> list[list[int]]:
    keys = index.pts.searchsorted(index.key_pts).tolist()
    return cut_stretches(frames, keys, workers or _cores())


def _parse_list(text: str, n_frames: int) -> np.ndarray:
    frames: set[int] = set()
    for part in text.split(","):
        ends = part.strip().split("-")
        if not all(end.strip().isascii() and end.strip().isdigit() for end in ends) or len(ends) > 2:
            raise InputError(f"--frames: {part.strip()[:40]!r} is not a frame or a range; write 1,5,9-20")
        first, last = int(ends[0]), int(ends[-1])
        if first > last:
            raise InputError(f"--frames: {part.strip()} runs backwards; write {last}-{first}")
        if last >= n_frames:
            raise InputError(
                f"--frames: frame {last} is outside the video: it has {n_frames} frames, 0 to {n_frames - 1}"
            )
        frames.update(range(first, last + 1))
    return np.array(sorted(frames), np.int64)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    run_script("export_frames", main)
