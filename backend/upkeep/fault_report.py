"""Fault report: one text file with versions, settings, findings, jobs and the ends of logs, without secrets."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from backend.jobs import JobState, JobStore
from backend.project.manifest import hardware, versions
from backend.project.settings import state_folder
from backend.upkeep.doctor import examine
from backend.upkeep.notify import PASSWORD_FILE
from backend.web.token import token_path

LOG_LINES = 80
MOST_LOGS = 5
ADDRESS = re.compile(r"(\w+://[^\s\"'/?#]+)[/?#][^\s\"']+")  # one with a path: whoever has a webhook's can post
OF_A_KEY = r"[\w-]*(?:token|passw(?:or)?d|secret|api[_-]?key|authorization|webhook)[\w-]*"
# What looks like a secret: its value in an address; else all that follows its name on the line, for nobody knows where
# the value ends; what follows an option of that name; and user:password@ in addresses.
SECRETS = re.compile(
    rf"(?i)([?&]{OF_A_KEY}=)[^\s&\"']+"
    rf"|((?<![?&\w-])(?:{OF_A_KEY}[\"']?[ \t]*[=:]|--{OF_A_KEY}(?=[ \t])|bearer(?=[ \t])))[^\n]+"
    r"|(?<=://)[^/\s@]+@"
)


def fault_report(state: Path | None = None) -> str:
    """Return the report as text. Values of secrets that this installation knows never stand in it."""
    state = state or state_folder()
    text = "\n".join(line for part in _parts(state) for line in (*part, ""))
    for secret in _known_secrets(state):
        text = secret.sub("[left out]", text)
    return SECRETS.sub(lambda found: f"{found[1] or found[2] or ''}[left out]", text)


def _parts(state: Path) -> Iterator[list[str]]:
    yield [f"Lektrack, report of {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"]
    yield ["== versions", *(f"{name} {version}" for name, version in versions().items())]
    yield ["== machine", *(f"{name}: {value}" for name, value in hardware().items())]
    yield ["== doctor", *map(str, examine(state))]
    path = state / "settings.toml"
    yield ["== settings", path.read_text(errors="replace") if path.is_file() else "all as they come"]
    store = JobStore(state)
    jobs = store.list(limit=40)
    yield ["== jobs, newest first", *(f"{job.id} {job.kind} {job.state} {job.title} {job.reason}" for job in jobs)]
    failed = [job for job in jobs if job.state in (JobState.FAILED, JobState.LOST)][:MOST_LOGS]
    for job in failed:
        yield [f"== end of the log of job {job.id}: {' '.join(job.command)}", store.log_tail(job.id, LOG_LINES)]


def _known_secrets(state: Path) -> Iterator[re.Pattern[str]]:
    for path in (token_path(state), state / PASSWORD_FILE):
        if path.is_file() and (secret := path.read_text(errors="replace").strip()):
            yield re.compile(re.escape(secret))
    settings = state / "settings.toml"  # as text: it may hold what is not allowed, and messages quote it, cut off
    for address in ADDRESS.finditer(settings.read_text(errors="replace") if settings.is_file() else ""):
        yield re.compile(re.escape(address[1]) + r"[/?#][^\s\"']*")
