"""Numbers and times as people say them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def duration(seconds: float) -> str:
    """Return ``3 h 5 min``, ``2 min 10 s`` or ``8 s``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{round(whole / 60)} min"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def moment(when: datetime, zone: str) -> str:
    """Return date and time to the minute in the time zone of the settings."""
    return when.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def ago(when: datetime) -> str:
    """Return how long ago ``when`` was."""
    return f"{duration((datetime.now(UTC) - when).total_seconds())} ago"
