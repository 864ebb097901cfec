"""The jobs of the Annotation page: SegAnnot for a video, and from its outlines to a training set in one go."""

from pathlib import Path

from backend.dataset.outputs import Outputs
from backend.jobs import Job, JobSpec
from backend.jobs.job_states import Slot
from backend.project.errors import InputError
from backend.video.library import VideoRecord, get_video
from gui.widgets.coco_sets import free_name
from gui.widgets.context import active_jobs, project, submit
from segannot.projects import AnnotationProgress

KIND = "segannot"


def start_annotation(record: VideoRecord, engine: str, half_precision: bool, memory_gb: float) -> Job:
    """Start SegAnnot as a service; InputError if it runs for this video already."""
    if active_jobs(KIND, record.slug):
        raise InputError(f"{record.name} is already open; its link is on this page")
    command = ["-m", "segannot", "--video", record.slug, "--engine", engine, "--memory-gb", f"{memory_gb:g}"]
    return submit(
        JobSpec(
            kind=KIND,
            title=f"Annotation of {record.name}",
            command=(*command, *(["--half_precision"] if half_precision else [])),
            project=project().root,
            videos=(record.slug,),
            slot=Slot.GPU if engine == "sam2" else Slot.NONE,
            service=True,
        )
    )


def frame_list(frames: tuple[int, ...]) -> str:
    """Return frames as ``--frames`` takes them: ``1,5,9-20``."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and runs[-1][1] == frame - 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)


def make_training_set(progress: AnnotationProgress, reviewed_only: bool, ratio: float) -> list[Job]:
    """Queue the export of the outlined frames and, after it, the conversion to COCO JSON; return both jobs."""
    record = get_video(project(), progress.video)
    frames = progress.seen if reviewed_only else progress.frames
    if record.problem:
        raise InputError(record.problem)
    if not frames:
        raise InputError(f"{record.name} has no drawn or accepted frames")
    pictures = project().exported_frames(record.slug)
    name = free_name(record.slug[:70])
    export = submit(
        JobSpec(
            kind="export_frames",
            title=f"Export {len(frames)} outlined frames of {record.name}",
            command=("-m", "backend.export_frames", "--src", record.path, "--dest", str(pictures),
                     "--frames", frame_list(frames)),
            output=pictures,
            project=project().root,
            videos=(record.slug,),
            resumable=True,
        )
    )  # fmt: skip
    stem = project().coco_jsons / name
    train, val = Path(f"{stem}_train.json"), Path(f"{stem}_val.json") if ratio < 1 else None
    convert = submit(
        JobSpec(
            kind="mask2coco",
            title=f"Create data set {name}",
            command=("-m", "backend.mask2coco", "--img-folder-path", str(pictures),
                     "--mask-folder-paths", str(project().segannot(record.slug)), "--json-path-train", str(train),
                     *(("--json-path-val", str(val)) if val else ()), "--train-ratio", f"{ratio:g}", "--skip-bad",
                     *(("--reviewed-only",) if reviewed_only else ())),
            output=Outputs.beside(train, val).manifest,
            project=project().root,
            videos=(record.slug,),
            after=(export.id,),
            resumable=True,
        )
    )  # fmt: skip
    return [export, convert]
