"""What a rendered lek is made from: number of birds, length, seed, picture, and how hard it is to follow."""

from dataclasses import dataclass, fields, replace
from datetime import datetime

from backend.project.errors import InputError

MAX_BIRDS = 255  # pixel values of an indexed mask
MIN_SIDE, MAX_SIDE = 128, 8192
MAX_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Difficulty:
    """How hard a lek is to follow. Rates are per second of the birds they concern."""

    likeness: float  # 0: every bird has its own plumage, 1: all have the same
    fight_rate: float  # of a pair within reach of each other
    displace_rate: float  # of a pair within reach: one gives way without a fight
    approach_share: float  # of walks that lead to a bird near the own home
    flight_weight: float  # of flying away when a bird chooses what to do next
    away_mean_s: float  # time outside the picture
    box_weight: float  # of visiting the nest box
    box_room: int  # birds that may be on their way to, in or out of the box at once
    light_drift: float  # share by which sun and white balance drift
    clouds: float  # 0: clear sky, 1: the sun goes in and out
    shake_px: float  # of the camera, at 960 pixels width
    wind_px: float  # by which near grass sways, at 960 pixels width
    grass: float  # density of the grass that hides feet and bellies, 1 = a meadow
    sensor_noise: float  # standard deviation at mid grey, grey levels of 255
    crf: int  # of x264: higher loses more
    appearance_noise: float  # of one descriptor, in standard deviations of the birds' own differences at likeness 0


# Fixed before the tracker was written, and to stay as they are: a tracker tuned to `hard` would prove nothing on it.
PRESETS = {
    "easy": Difficulty(
        likeness=0.1,
        fight_rate=0.01,
        displace_rate=0.03,
        approach_share=0.05,
        flight_weight=0.0,
        away_mean_s=60.0,
        box_weight=0.0,
        box_room=1,
        light_drift=0.02,
        clouds=0.0,
        shake_px=0.0,
        wind_px=0.0,
        grass=0.35,
        sensor_noise=1.2,
        crf=19,
        appearance_noise=0.25,
    ),
    "normal": Difficulty(
        likeness=0.3,
        fight_rate=0.04,
        displace_rate=0.08,
        approach_share=0.15,
        flight_weight=0.006,
        away_mean_s=60.0,
        box_weight=0.008,
        box_room=1,
        light_drift=0.08,
        clouds=0.5,
        shake_px=0.0,
        wind_px=1.0,
        grass=0.7,
        sensor_noise=2.0,
        crf=21,
        appearance_noise=0.45,
    ),
    "hard": Difficulty(
        likeness=0.6,
        fight_rate=0.15,
        displace_rate=0.12,
        approach_share=0.35,
        flight_weight=0.012,
        away_mean_s=45.0,
        box_weight=0.012,
        box_room=2,
        light_drift=0.2,
        clouds=1.0,
        shake_px=1.2,
        wind_px=1.8,
        grass=1.0,
        sensor_noise=3.5,
        crf=27,
        appearance_noise=0.6,
    ),
}


@dataclass(frozen=True)
class LekSettings:
    """One lek, filmed once. The same settings give the same world on every machine."""

    birds: int
    seconds: float
    seed: int
    size: tuple[int, int] = (960, 544)  # width x height, px
    fps: int = 25
    camera: str = "lek"
    start_time: datetime = datetime.fromisoformat("2026-05-09T05:40:00+00:00")
    difficulty: Difficulty = PRESETS["normal"]

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            With the value and what is allowed.
        """
        _within("birds", self.birds, 1, MAX_BIRDS)
        _within("seconds", self.seconds, 1 / self.fps if self.fps else 0, MAX_SECONDS)
        _within("seed", self.seed, 0, 2**63 - 1)
        _within("fps", self.fps, 1, 120)
        _within("likeness", self.difficulty.likeness, 0, 1)
        for side in self.size:
            _within("size", side, MIN_SIDE, MAX_SIDE)
            if side % 2:
                raise InputError(f"size {self.size[0]}x{self.size[1]}: both sides must be even, for H.264 in yuv420p")

    @property
    def n_frames(self) -> int:
        """Frames in the video."""
        return max(1, round(self.seconds * self.fps))

    def as_dict(self) -> dict:
        """Return plain values for the manifest."""
        flat = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("difficulty", "start_time")}
        hardness = {f.name: getattr(self.difficulty, f.name) for f in fields(self.difficulty)}
        return {**flat, "size": list(self.size), "start_time": self.start_time.isoformat(), **hardness}


def difficulty(preset: str, likeness: float | None = None) -> Difficulty:
    """Return a preset by name, with its likeness replaced where one is given."""
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r} is not known; choose one of {', '.join(PRESETS)}")
    return PRESETS[preset] if likeness is None else replace(PRESETS[preset], likeness=likeness)


def parse_size(text: str) -> tuple[int, int]:
    """Turn ``960x544`` into (width, height), px."""
    width, cross, height = text.partition("x")
    if not (cross and width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise InputError(f"size {text!r} must be width x height in pixels, such as 960x544")
    return int(width), int(height)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InputError(f"{name} {value} is not allowed; use {least:g} to {most:g}")
