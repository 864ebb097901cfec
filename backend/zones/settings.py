"""Settings of zone statistics, and the facts of a video that its tables repeat."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backend.detectors.score_threshold import SHOWN_SCORE
from backend.jobs.script import Option
from backend.project.settings import TimeZone

REST_M_S, CONTACT_M, NEAR_M = 0.1, 0.3, 1.0
REST_BODIES_S, CONTACT_BODIES, NEAR_BODIES = 0.3, 1.0, 3.0  # body sizes, where the camera has no scale


class StatisticsSettings(BaseModel):
    """Settings of zone statistics. Lengths: m where a camera has a scale, else px; None: from the birds' body size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(
        default="ground point",
        pattern="^(ground point|centre|mask)$",
        description="reference point that decides a bird's zone: ground-point, centre or mask",
    )
    lost_after: int = Field(
        default=3, ge=1, le=100_000, description="samples in a row without the bird after which it is lost, zone 0"
    )
    bin_s: float = Field(default=60.0, gt=0, le=86_400, description="width of time bins, s")
    from_s: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="start of the range in each video, s")
    to_s: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="end of the range, s; by default the end of the video"
    )
    smooth_s: float = Field(
        default=0.4, ge=0, le=10, description="window over which positions are averaged before paths are measured, s"
    )
    rest_below: float | None = Field(
        default=None,
        gt=0,
        description=f"maximum speed at rest: m/s, or px/s ({REST_M_S:g} m/s; {REST_BODIES_S:g} birds/s)",
    )
    contact: float | None = Field(
        default=None,
        gt=0,
        description=f"contact below this distance: m, px without scale ({CONTACT_M:g} m; {CONTACT_BODIES:g} bird)",
    )
    near: float | None = Field(
        default=None,
        gt=0,
        description=f"near in the network below this: m, px without scale ({NEAR_M:g} m; {NEAR_BODIES:g} birds)",
    )
    displacement_s: float = Field(
        default=2.0, gt=0, le=60, description="maximum time from one bird's coming to the other's leaving, s"
    )
    together: Annotated[dict[str, tuple[str, ...]], Option(metavar="NAME=ZONE+ZONE")] = Field(
        default={}, description="zones that are also counted as one"
    )
    birds: int | None = Field(
        default=None, ge=1, le=100_000, description="number of birds present, if known: those missing count as lost"
    )
    score: float = Field(default=SHOWN_SCORE, ge=0, le=1, description="minimum score of detections that are counted")
    missed: float | None = Field(
        default=None, ge=0, lt=1, description="share of birds that the detector misses, if known: error of the counts"
    )
    false: float | None = Field(
        default=None, ge=0, lt=1, description="share of detections that are no bird, if known: error of the counts"
    )
    draws: int = Field(default=500, ge=0, le=10_000, description="draws for the identity interval; 0: none")
    seed: int = Field(default=0, ge=0, description="random seed of the draws")
    time_zone: TimeZone = Field(
        default="UTC",
        description="time zone of the tables, such as Europe/Budapest; by default that of Settings",
    )

    @model_validator(mode="after")
    def _range(self) -> "StatisticsSettings":
        if self.to_s is not None and self.to_s <= self.from_s:
            raise ValueError(f"to_s {self.to_s} must be later than from_s {self.from_s}")
        return self

    def lengths(self, unit: str, body: float) -> tuple[float, float, float]:
        """Return speed of rest (per s), contact and network distance, in ``unit``; ``body`` is the body size."""
        bodies = (REST_BODIES_S * body, CONTACT_BODIES * body, NEAR_BODIES * body)
        defaults = (REST_M_S, CONTACT_M, NEAR_M) if unit == "m" else bodies
        given = (self.rest_below, self.contact, self.near)
        return tuple(default if value is None else value for value, default in zip(given, defaults, strict=True))


@dataclass(frozen=True)
class VideoFacts:
    """Facts of a video for the tables. ``reviewed``: ranges of frames [first, end) that a person has reviewed."""

    video: str
    camera: str = ""
    start_time: datetime | None = None
    reviewed: tuple[tuple[int, int], ...] = ()
    corrections: int = 0
    zones_version: int = 0
    more: dict[str, object] = field(default_factory=dict)

    def clock(self, seconds: float, time_zone: str) -> datetime | None:
        """Return the clock time in ``time_zone`` at ``seconds`` of the video; None where its start is not known.

        A start read from a file is in UTC, a typed one in local time, so the zone of ``start_time`` is not used.
        """
        if self.start_time is None:
            return None
        return (self.start_time + timedelta(seconds=float(seconds))).astimezone(ZoneInfo(time_zone))
