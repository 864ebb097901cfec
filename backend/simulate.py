"""Render a lek with known truth: a video of ruffs, their masks, identities, boxes, zones and a log of events.

    python -m backend.simulate --out /tmp/lek --birds 8 --seconds 20 --seed 1
    python -m backend.simulate --out /tmp/hour --birds 20 --seconds 3600 --seed 7 --preset hard --no-video
    python -m backend.simulate --sample --out data

The same settings give the same truth on every machine. Without video an hour of 20 birds takes about a minute, and
descriptors of appearance are written as a camera would yield them. docs/rooms/lek.md describes the files.
"""

from datetime import datetime
from pathlib import Path

from pydantic import Field

from backend.jobs.script import ScriptParser, ScriptSettings, run_script
from backend.lek.lek_settings import MAX_BIRDS, PRESETS, LekSettings, difficulty, parse_size
from backend.lek.recording import record
from backend.project.errors import InputError


class SimulateSettings(ScriptSettings):
    """The arguments of this script; the names are the options."""

    out: Path
    sample: bool
    birds: int = Field(ge=1, le=MAX_BIRDS)
    seconds: float = Field(gt=0, allow_inf_nan=False)
    seed: int
    size: str
    fps: int = Field(ge=1, le=120)
    preset: str
    likeness: float | None = Field(ge=0, le=1)
    camera: str
    start_time: datetime
    mask_every: int = Field(ge=0)
    no_video: bool
    no_masks: bool

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
    settings = parse(argv)
    if settings.sample:
        from backend.lek.sample import sample  # brings the video library with it

        sample(settings.out)
        return
    if settings.no_video and settings.mask_every:
        raise InputError("--mask-every needs the video; with --no-video the masks are run lengths in truth.parquet")
    made = record(settings.out, settings.lek(), not settings.no_video, not settings.no_masks, settings.mask_every)
    print(f"{settings.out}: {'done' if made else 'was there already, nothing to do'}")


def parse(argv: list[str]) -> SimulateSettings:
    """Turn arguments into settings."""
    parser = ScriptParser("backend.simulate", __doc__)
    parser.add_argument("--out", required=True, help="folder to write; with --sample the project folder")
    parser.add_argument("--sample", action="store_true", help="make the sample project; other options are not used")
    parser.add_argument("--birds", default=8, help=f"1 to {MAX_BIRDS} (default 8)")
    parser.add_argument("--seconds", default=20.0, help="length (default 20)")
    parser.add_argument("--seed", default=0, help="another seed, another lek (default 0)")
    parser.add_argument("--size", default="960x544", help="width x height, even (default 960x544)")
    parser.add_argument("--fps", default=25, help="frames a second (default 25)")
    parser.add_argument("--preset", default="normal", help=f"{', '.join(PRESETS)} (default normal)")
    parser.add_argument(
        "--likeness", default=None, help="0: all birds differ, 1: all look the same (default: the preset's)"
    )
    parser.add_argument("--camera", default="lek", help="name of the camera (default lek)")
    parser.add_argument("--start-time", default="2026-05-09T05:40:00+00:00", help="clock time of the first frame")
    parser.add_argument(
        "--mask-every", default=0, help="write an indexed PNG of every so many frames (default 0: none)"
    )
    parser.add_argument("--no-video", action="store_true", help="truth and descriptors only")
    parser.add_argument("--no-masks", action="store_true", help="no run lengths in the truth")
    return parser.settings(SimulateSettings, argv)


if __name__ == "__main__":
    run_script("simulate", main)
