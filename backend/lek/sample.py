"""The sample project: two rendered clips with masks, zones and truth, so that every page has something to show."""

import os
from dataclasses import dataclass
from pathlib import Path

from backend.jobs.process import FOLDER_VARIABLE, start_script
from backend.jobs.progress import Progress
from backend.lek.recording import MASKS, SCRIPT, VIDEO, ZONES
from backend.masks.objects import FRAMES, OBJECTS, MaskOrigin, write_frames
from backend.project.atomic import atomic_json, atomic_write
from backend.project.disk import check_space
from backend.project.locks import output_lock
from backend.project.paths import Project
from backend.video.library import add_video, list_videos

SECONDS, FPS, SIZE = 20, 25, "960x544"
MASK_EVERY = 20  # frames: 25 masks a clip
HAND_MADE_EVERY = 100
NOT_REVIEWED_FROM = 400
SPACE_BYTES = 60 * 1000**2
VIDEOS, TRUTH, DONE = "sample_videos", "sample_truth", "sample.json"


@dataclass(frozen=True)
class Clip:
    """One clip of the sample."""

    name: str
    birds: int
    seed: int
    start_time: str

    def arguments(self, out: Path) -> list[str]:
        """Return the command that renders it, after the interpreter."""
        return [
            *("-m", "backend.simulate", "--out", str(out), "--birds", str(self.birds), "--seed", str(self.seed)),
            *("--seconds", str(SECONDS), "--fps", str(FPS), "--size", SIZE, "--preset", "normal"),
            *("--camera", self.name, "--start-time", self.start_time, "--mask-every", str(MASK_EVERY)),
        ]


CLIPS = (
    Clip("lek-north", 6, 39, "2026-05-09T05:40:00+00:00"),
    Clip("lek-south", 10, 332, "2026-05-09T06:15:00+00:00"),
)


def sample(folder: Path) -> bool:
    """Make the sample project in ``folder``; return False where it was made before. What was cut off is completed.

    Nothing that a person made since is overwritten: a finished sample is never touched again, and the masks of a clip
    only if they are not complete.

    Raises
    ------
    InputError
        If another process is making it, or the disk is too full.
    RuntimeError
        With the last line of the renderer, if one failed.
    """
    project = Project(folder.resolve())
    truth = project.root / TRUTH
    if (truth / DONE).exists():
        return False
    check_space(project.root, SPACE_BYTES)
    with output_lock(truth), Progress() as progress:
        _render({clip: truth / clip.name for clip in CLIPS}, progress)
        for clip in CLIPS:
            _place(project, clip, truth / clip.name)
        atomic_json(truth / DONE, {"format": 1, "clips": [clip.name for clip in CLIPS]})
    return True


def _render(folders: dict[Clip, Path], progress: Progress) -> None:
    """Render all clips at the same time, a process each."""
    environment = {name: value for name, value in os.environ.items() if name != FOLDER_VARIABLE}
    progress.stage("rendering the sample", len(folders))
    running = [start_script(clip.arguments(out), environment) for clip, out in folders.items()]
    try:
        for done, process in enumerate(running):
            output, _ = process.communicate()
            if process.returncode != 0:
                lines = output.decode(errors="replace").strip().splitlines()
                raise RuntimeError(lines[-1] if lines else f"{SCRIPT} ended with {process.returncode}")
            progress.update(done + 1)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _place(project: Project, clip: Clip, made: Path) -> None:
    """Put the files of a rendered clip where the project has them."""
    video = project.root / VIDEOS / f"{clip.name}.mp4"
    video.parent.mkdir(parents=True, exist_ok=True)
    if not video.exists():
        os.link(made / VIDEO, video)
    if not any(record.path == str(video) for record in list_videos(project)):
        add_video(project, video, [project.root], camera=clip.name)
    zones = project.root / "zones" / f"{clip.name}.json"
    zones.parent.mkdir(exist_ok=True)
    if not zones.exists():
        atomic_write(zones, (made / ZONES).read_bytes())
    _place_masks(made, project.segannot(clip.name))


def _place_masks(made: Path, folder: Path) -> None:
    """Lay masks out as the annotation tool leaves them: some drawn by hand, the others propagated, most reviewed."""
    if (folder / FRAMES).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    origins = {}
    for path in sorted((made / MASKS).glob("*.png")):
        atomic_write(folder / path.name, path.read_bytes())
        frame = int(path.stem)
        later = MaskOrigin.PROPAGATED if frame >= NOT_REVIEWED_FROM else MaskOrigin.REVIEWED
        origins[frame] = MaskOrigin.HAND_MADE if frame % HAND_MADE_EVERY == 0 else later
    atomic_write(folder / OBJECTS, (made / OBJECTS).read_bytes())
    write_frames(folder, origins)
