"""Render a lek with known truth: a video of ruffs, their masks, identities, boxes, zones and a log of events.

    python -m backend.simulate --out /tmp/lek --birds 8 --seconds 20 --seed 1
    python -m backend.simulate --out /tmp/hour --birds 20 --seconds 3600 --seed 7 --preset hard --no-video
    python -m backend.simulate --sample --out data

The same settings give the same truth on every machine. Without video an hour of 20 birds takes about a minute, and
descriptors of appearance are written as a camera would yield them. docs/rooms/lek.md describes the files.
"""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.lek.lek_settings import MAX_BIRDS, PRESETS, LekSettings, difficulty, parse_size
from backend.lek.recording import record
from backend.project.errors import InputError


class SimulateSettings(ScriptSettings):
    """The arguments of this script; the names are the options."""

    out: Path = Field(description="folder to write; with --sample the project folder")
    sample: bool = Field(default=False, description="make the sample project; the other options are not used")
    birds: int = Field(default=8, ge=1, le=MAX_BIRDS, description=f"number of birds, up to {MAX_BIRDS}")
    seconds: float = Field(default=20.0, gt=0, allow_inf_nan=False, description="duration, s")
    seed: int = Field(default=0, description="random seed; another seed gives another lek")
    size: str = Field(default="960x544", description="width x height in px, both even")
    fps: int = Field(default=25, ge=1, le=120, description="frames per second")
    preset: str = Field(default="normal", description=f"difficulty: {', '.join(PRESETS)}")
    likeness: float | None = Field(
        default=None, ge=0, le=1, description="0: all birds differ, 1: all look the same; by default the preset's"
    )
    camera: str = Field(default="lek", description="name of the camera")
    start_time: datetime = Field(
        default=datetime(2026, 5, 9, 5, 40, tzinfo=UTC), description="clock time of the first frame"
    )
    mask_every: int = Field(default=0, ge=0, description="write an indexed PNG of every Nth frame; 0: none")
    no_video: bool = Field(default=False, description="write truth and embeddings only")
    no_masks: bool = Field(default=False, description="leave the masks out of the truth")

    def lek(self) -> LekSettings:
        """Return the lek that is asked for; InputError where a value is not allowed."""
        return LekSettings(
            birds=self.birds,
            seconds=self.seconds,
            seed=self.seed,
            size=parse_size(self.size),
            fps=self.fps,
            camera=self.camera,
            start_time=self.start_time,
            difficulty=difficulty(self.preset, self.likeness),
        )


def main(argv: list[str]) -> None:
    """Render one lek, or the sample project."""
    settings = ScriptParser("backend.simulate", __doc__).settings(SimulateSettings, argv)
    if settings.sample:
        from backend.lek.sample import sample  # brings the video library with it

        sample(settings.out)
        return
    if settings.no_video and settings.mask_every:
        raise InputError("--mask-every needs the video; with --no-video the masks are run lengths in truth.parquet")
    made = record(settings.out, settings.lek(), not settings.no_video, not settings.no_masks, settings.mask_every)
    print(f"{settings.out}: {'done' if made else 'was there already, nothing to do'}")


if __name__ == "__main__":
    run_script("simulate", main)
