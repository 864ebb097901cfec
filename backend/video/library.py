"""The videos of a project: one record per video, which links its file. Videos are never copied."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import cv2
from pydantic import AwareDatetime, BaseModel, ConfigDict

from backend.project.atomic import atomic_write
from backend.project.errors import InputError
from backend.project.locks import output_lock
from backend.project.manifest import file_identity
from backend.project.paths import Project, resolve_under, slug
from backend.project.state_files import read_state
from backend.video.probe import VideoInfo, probe, video_identity
from backend.video.reader import VideoReader
from backend.video.resize import resize

FORMAT = 1
LOCK_WAIT_S = 10.0
JPEG_QUALITY = 85
MAX_TEXT = 200
UNCHANGED: Any = object()  # an argument that was not given, where None means "none"


class VideoRecord(BaseModel):
    """The content of ``videos/SLUG.json``, with the problem of the file at the time of reading.

    ``start_time`` is when frame 0 was recorded, with its zone; ``camera`` is free text that groups videos; ``problem``
    is empty for a video that can be used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    slug: str
    path: str
    name: str
    camera: str = ""
    start_time: AwareDatetime | None = None
    identity: dict[str, Any] = {}
    modified_ns: int = 0
    info: VideoInfo | None = None
    problem: str = ""
    added: AwareDatetime


def add_video(
    project: Project,
    path: Path | str,
    roots: Iterable[Path | str],
    camera: str | None = None,
    start_time: datetime | None = None,
) -> str:
    """Add the file at ``path``, which must lie under ``roots``, and return its slug.

    A file that cannot be read as a video is added, too, with its ``problem`` (see `check_video`). The start
    time is the file's own where it has one and none is given.

    Raises
    ------
    InputError
        If the path is outside the roots or not a file, or the video is in the project already.
    """
    real = resolve_under(path, roots)
    if not real.is_file():
        raise InputError(f"{real} is not a file; choose a video file")
    try:
        str(real).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {ascii(str(real))} is not valid UTF-8; rename the file first") from error
    facts = _file_facts(real, project)
    with _records_lock(project):
        records = list_videos(project)
        for record in records:
            if record.path == str(real):
                raise InputError(f"{real} is in the project already, as {record.slug}")
        record = VideoRecord(
            slug=_free_slug(real.stem, {record.slug for record in records}),
            path=str(real),
            name="".join(letter if letter.isprintable() else " " for letter in real.stem)[:MAX_TEXT],
            camera=_text("camera", camera or ""),
            start_time=start_time or (facts["info"].start_time if facts["info"] else None),
            added=datetime.now().astimezone(),
            **facts,
        )
        _save(project, record)
    return record.slug


def list_videos(project: Project) -> list[VideoRecord]:
    """Return all records by slug, each with the problem its file has now. Broken records are set aside."""
    files = sorted(project.videos.glob("*.json")) if project.videos.is_dir() else []
    records = (_load(file) for file in files)
    return [_with_present_problem(record) for record in records if record is not None]


def get_video(project: Project, video: str) -> VideoRecord:
    """Return one record; InputError if the project has no such video."""
    return _with_present_problem(_stored(project, video))


def open_video(project: Project, video: str, **options: Any) -> VideoReader:
    """Return a reader of a video of the project (``options`` as for `VideoReader`); InputError if it has a problem."""
    record = get_video(project, video)
    if record.problem:
        raise InputError(record.problem)
    return VideoReader(record.path, cache_folder=index_cache(project), **options)


def update_video(
    project: Project,
    video: str,
    *,
    name: str | None = None,
    camera: str | None = None,
    start_time: datetime | None = UNCHANGED,
) -> VideoRecord:
    """Change name, camera or start time. ``start_time`` needs a time zone; None means not known."""
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = _text("name", name) or video
    if camera is not None:
        changes["camera"] = _text("camera", camera)
    if start_time is not UNCHANGED:
        if start_time is not None and start_time.tzinfo is None:
            raise InputError(f"start time {start_time} needs a time zone, such as +01:00")
        changes["start_time"] = start_time
    return _change(project, video, changes)


def check_video(project: Project, video: str) -> VideoRecord:
    """Examine the file again, after a copy has finished or a changed file was accepted."""
    return _change(project, video, _file_facts(Path(_stored(project, video).path), project))


def relink_video(project: Project, video: str, path: Path | str, roots: Iterable[Path | str]) -> VideoRecord:
    """Point a record at its file's new place. InputError if the file there is another one."""
    real = resolve_under(path, roots)
    known = _stored(project, video).identity
    facts = _file_facts(real, project)
    if facts["problem"] or (known and facts["identity"] != known):
        raise InputError(facts["problem"] or f"{real} is another video than {video} was; add it as a new one")
    return _change(project, video, {"path": str(real), **facts})


def move_records(project: Project, moved: Callable[[str], str]) -> None:
    """Replace the path of every record by ``moved`` of it, as after a restore. No file is opened."""
    with _records_lock(project):
        for record in list_videos(project):
            if (path := moved(record.path)) != record.path:
                _save(project, _stored(project, record.slug).model_copy(update={"path": path}))


def remove_video(project: Project, video: str) -> None:
    """Remove the record of a video and its thumbnails. The file and all results made from it stay."""
    with _records_lock(project):
        _stored(project, video)
        os.unlink(project.video(video))
    for picture in _thumbnails(project).glob(f"{video}.*.jpg"):
        picture.unlink(missing_ok=True)


def thumbnail(project: Project, video: str, frame: int = 0, width: int = 320) -> Path:
    """Return a JPEG of one frame, ``width`` px wide, made once and kept in the project's ``.cache``."""
    record = get_video(project, video)
    folder = _thumbnails(project)
    picture = folder / f"{video}.{str(record.identity.get('index_sha256', ''))[:12]}.{frame}.{width}.jpg"
    if picture.is_file():
        return picture
    with open_video(project, video, threads=1) as reader:
        rgb = reader.read([frame])[0]
    height = max(1, round(width * rgb.shape[0] / rgb.shape[1]))
    bgr = cv2.cvtColor(resize(rgb, (width, height)), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(picture, jpeg.tobytes(), durable=False)
    return picture


def index_cache(project: Project) -> Path:
    """Return the folder of the packet indexes of a project's videos."""
    return project.cache / "video_index"


def _thumbnails(project: Project) -> Path:
    return project.cache / "thumbnails"


def _file_facts(path: Path, project: Project) -> dict[str, Any]:
    """Return the parts of a record that come from the file."""
    try:
        modified_ns = path.stat().st_mtime_ns
        info = probe(path, index_cache(project))
        identity = video_identity(path, index_cache(project))
    except (InputError, OSError) as error:
        return {"info": None, "identity": {}, "modified_ns": 0, "problem": str(error)}
    return {"info": info, "identity": identity, "modified_ns": modified_ns, "problem": ""}


def _with_present_problem(record: VideoRecord) -> VideoRecord:
    """Return the record with the problem its file has now; the file is hashed only if its time or size changed."""
    if record.problem:
        return record
    path = Path(record.path)
    try:
        status = path.stat()
        changed = status.st_size != record.identity["size"] or (
            status.st_mtime_ns != record.modified_ns
            and file_identity(path)["head_tail_sha256"] != record.identity["head_tail_sha256"]
        )
    except OSError as error:
        return record.model_copy(update={"problem": f"{path} cannot be opened: {error.strerror}"})
    if not changed:
        return record
    problem = f"{path} is not the file that was added as {record.slug}: its content has changed"
    return record.model_copy(update={"problem": problem})


def _stored(project: Project, video: str) -> VideoRecord:
    record = _load(project.video(video))
    if record is None:
        raise InputError(f"the project has no video {video!r}")
    return record


def _load(file: Path) -> VideoRecord | None:
    return read_state(file, VideoRecord.model_validate_json, lambda: None)


def _change(project: Project, video: str, changes: dict[str, Any]) -> VideoRecord:
    with _records_lock(project):
        record = VideoRecord(**{**_stored(project, video).model_dump(), **changes})
        _save(project, record)
    return _with_present_problem(record)


def _save(project: Project, record: VideoRecord) -> None:
    atomic_write(project.video(record.slug), record.model_dump_json(indent=1) + "\n")


def _free_slug(name: str, taken: set[str]) -> str:
    wanted = slug(name)
    if wanted not in taken:
        return wanted
    return next(candidate for n in itertools.count(2) if (candidate := f"{wanted[:74].rstrip('-_')}-{n}") not in taken)


def _text(what: str, value: str) -> str:
    plain = " ".join(value.split())
    if len(plain) > MAX_TEXT or not plain.isprintable():
        raise InputError(f"{what} {plain[:60]!r} must be at most {MAX_TEXT} printable characters")
    return plain


@contextlib.contextmanager
def _records_lock(project: Project) -> Iterator[None]:
    """Lock the folder of records; wait up to `LOCK_WAIT_S` for another page or script that writes one."""
    end = time.monotonic() + LOCK_WAIT_S
    while True:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(output_lock(project.videos))
            except InputError:
                if time.monotonic() > end:
                    raise
            else:
                yield
                return
        time.sleep(0.02)
