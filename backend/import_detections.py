"""Turn detections of another program into a detections run, to be tracked and counted like our own.

    python -m backend.import_detections --from det.txt --video-path lek.mp4 --out data/inference_output/lek/other
    python -m backend.import_detections --from coco_results.json --size 2688x1520 --fps 25 --out /tmp/other

Reads MOT text (``frame, id, x, y, w, h, score``, frames from 1) and COCO results (a list with ``image_id``, the
frame's number + 1, ``bbox``, ``score``, and ``segmentation`` as run lengths), which backend.visualize writes, too.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from backend.jobs.progress import Progress
from backend.jobs.script import Option, ScriptParser, run_script
from backend.pipeline.chunk_tables import AnalysedFrames, write_chunk
from backend.pipeline.chunks import plan_chunks
from backend.project.locks import output_lock
from backend.project.manifest import begin_manifest, file_identity, finished_file, now
from backend.tracking.io.check_boxes import check_frame_count
from backend.tracking.io.load_detections import (
    ImportSettings,
    LoadedDetections,
    about_video,
    check_frames_option,
    read_detections,
)

CHUNK_S = 60
SCRIPT = "import_detections"


class DetectionsSettings(ImportSettings):
    """The arguments of this script; the names are the options."""

    source: Annotated[Path, Option(name="--from")] = Field(description="MOT text (.txt) or COCO results (.json)")
    out: Path = Field(description="folder to write, such as inference_output/VIDEO/RUN of a project")
    class_name: str = Field(default="bird", description="class of the detections")
    category: int | None = Field(default=None, description="COCO: import only detections of this category_id")


def main(argv: list[str]) -> None:
    """Run the script."""
    settings = ScriptParser("backend.import_detections", __doc__).settings(DetectionsSettings, argv)
    about = about_video(settings)
    check_frames_option(settings, about)
    size, fps, times = about.size, about.fps, about.times
    found = read_detections(settings.source, size, settings.category)
    last = int(found.frame.max(initial=-1)) + 1
    frames = settings.frames or (last if times is None else len(times))
    check_frame_count(settings.source, last - 1, frames)
    if times is None:
        times = np.arange(frames) / fps
    facts = {
        **{"video": about.name, "width": size[0], "height": size[1], "fps": fps, "class_names": [settings.class_name]},
        **{"frame_start": 0, "frame_end": frames, "stride": 1, "chunk_frames": max(1, round(CHUNK_S * fps))},
        "category": settings.category,
    }
    inputs = {"source": file_identity(settings.source), **about.file}
    with output_lock(settings.out), Progress() as progress:
        manifest = begin_manifest(settings.out, SCRIPT, inputs, facts, about.file.keys())
        manifest.complete = False
        manifest.write(settings.out)
        chunks = plan_chunks(0, frames, facts["chunk_frames"])
        progress.stage("writing", len(chunks))
        for k, chunk in enumerate(chunks):
            part, n = of_chunk(found, chunk.from_frame, chunk.to_frame)
            seen = np.arange(chunk.from_frame, chunk.to_frame, dtype=np.int32)
            write_chunk(settings.out, chunk, AnalysedFrames(seen, times[seen], n), part.instances())
            manifest.files |= {
                name: finished_file(settings.out / name) for name in (chunk.detections_file, chunk.frames_file)
            }
            progress.update(k + 1)
        manifest.counts = {"frames": frames, "detections": len(found)}
        manifest.complete, manifest.finished = True, now()
        manifest.write(settings.out)
    print(f"{settings.out}: {len(found)} detections in {frames} frames")


def of_chunk(found: LoadedDetections, first: int, last: int) -> tuple[LoadedDetections, np.ndarray]:
    """Return the detections of frames ``first`` to ``last`` (not included) and how many each frame has."""
    rows = slice(*np.searchsorted(found.frame, [first, last]).tolist())
    part = found.take(rows)
    return part, np.bincount(part.frame - first, minlength=last - first).astype(np.int32)


if __name__ == "__main__":
    run_script("import_detections", main)
