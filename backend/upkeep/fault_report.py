"""One text file for a report of a fault: versions, settings, findings, jobs and the ends of logs, without secrets."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from backend.jobs import JobState, JobStore
from backend.project.errors import InputError
from backend.project.manifest import hardware, versions
from backend.project.settings import load_settings, state_folder
from backend.upkeep.doctor import examine
from backend.upkeep.notify import PASSWORD_FILE
from backend.web.token import token_path

LOG_LINES = 80
MOST_LOGS = 5
# What looks like a secret in an address or a log: a token or password with its value, and user:password@ in addresses.
SECRETS = re.compile(
    r"(?i)((?:token|password|secret|api[_-]?key|authorization)[\"' ]*[=:][\"' ]*)[^\s\"'&]+|(?<=://)[^/\s@]+@"
)


def fault_report(state: Path | None = None) -> str:
    """Return the report as text. Values of secrets that this installation knows never stand in it."""
    state = state or state_folder()
    text = "\n".join(line for part in _parts(state) for line in (*part, ""))
    for secret in _known_secrets(state):
        text = text.replace(secret, "[left out]")
    return SECRETS.sub(lambda found: f"{found[1] or ''}[left out]", text)


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


def _known_secrets(state: Path) -> Iterator[str]:
    for path in (token_path(state), state / PASSWORD_FILE):
        if path.is_file() and (secret := path.read_text(errors="replace").strip()):
            yield secret
    try:
        webhook = load_settings(state).notify.webhook_url
    except InputError:  # the settings cannot be read: then their text goes through `SECRETS` only
        return
    if webhook:
        yield webhook  # whoever has it can post
