"""What is asked of the statistics: the settings that decide the numbers, and the facts of a video."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backend.project.settings import TimeZone

REST_M_S, CONTACT_M, NEAR_M = 0.1, 0.3, 1.0
REST_BODIES_S, CONTACT_BODIES, NEAR_BODIES = 0.3, 1.0, 3.0  # where the camera has no scale


class Measures(BaseModel):
    """Settings of the statistics. Lengths are in m where a camera has a scale, else in px; None: by the birds' size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(default="ground point", pattern="^(ground point|centre|mask)$")
    lost_after: int = Field(default=3, ge=1, le=100_000)
    bin_s: float = Field(default=60.0, gt=0, le=86_400)
    from_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    to_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    smooth_s: float = Field(default=0.4, ge=0, le=10)
    rest_below: float | None = Field(default=None, gt=0)
    contact: float | None = Field(default=None, gt=0)
    near: float | None = Field(default=None, gt=0)
    displacement_s: float = Field(default=2.0, gt=0, le=60)
    together: dict[str, tuple[str, ...]] = {}
    birds: int | None = Field(default=None, ge=1, le=100_000)
    score: float = Field(default=0.5, ge=0, le=1)
    missed: float | None = Field(default=None, ge=0, lt=1)
    false: float | None = Field(default=None, ge=0, lt=1)
    draws: int = Field(default=500, ge=0, le=10_000)
    seed: int = Field(default=0, ge=0)
    time_zone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _range(self) -> "Measures":
        if self.to_s is not None and self.to_s <= self.from_s:
            raise ValueError(f"to_s {self.to_s} must be later than from_s {self.from_s}")
        return self

    def lengths(self, unit: str, body: float) -> tuple[float, float, float]:
        """Return speed of rest, contact distance and network distance, in the unit of a camera."""
        usual = (REST_M_S, CONTACT_M, NEAR_M) if unit == "m" else (REST_BODIES_S * body, body, NEAR_BODIES * body)
        given = (self.rest_below, self.contact, self.near)
        return tuple(value if value is not None else other for value, other in zip(given, usual, strict=True))


@dataclass(frozen=True)
class VideoFacts:
    """What the tables say of a video besides its numbers. ``reviewed``: ranges of frames a person answers for."""

    video: str
    camera: str = ""
    start_time: datetime | None = None
    reviewed: tuple[tuple[int, int], ...] = ()
    corrections: int = 0
    zones_version: int = 0
    more: dict[str, object] = field(default_factory=dict)

    def clock(self, seconds: float, time_zone: str) -> datetime | None:
        """Return the clock time in a zone at ``seconds`` of the video; None where its start is not known.

        A start read from a file is in UTC and one that was typed in local time, so its own zone says nothing.
        """
        if self.start_time is None:
            return None
        return (self.start_time + timedelta(seconds=float(seconds))).astimezone(ZoneInfo(time_zone))
