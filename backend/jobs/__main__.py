"""List, submit, stop and retry jobs from the command line.

    python -m backend.jobs list
    python -m backend.jobs submit export_frames --output DIR -- -m backend.export_frames --src VIDEO --dest DIR
    python -m backend.jobs show 3
    python -m backend.jobs log 3 --lines 50
    python -m backend.jobs stop 3
    python -m backend.jobs retry 3

What is submitted runs whether or not the web app does. Paths in a command are absolute: it runs in Lektrack's folder.
"""

import argparse
import getpass
import json
import sys
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from backend.jobs.job import Job, JobSpec
from backend.jobs.job_states import JobState, Slot
from backend.jobs.schedule import scheduling_pass
from backend.jobs.script import ScriptParser, SubParser, run_script
from backend.jobs.store import JobStore
from backend.project.errors import InputError


def main(argv: list[str]) -> None:
    """Parse the command and run it."""
    argv, command = _split(argv)
    given = vars(_parser().parse_args(argv))
    do = given.pop("do")
    if do == "submit":
        given["command"] = tuple(command)
    COMMANDS[do](JobStore(), **given)


def list_jobs(store: JobStore, state: list[str], kind: str | None, limit: int, as_json: bool) -> None:
    """Print jobs, newest first."""
    _look(store)
    jobs = store.list([JobState(name) for name in state] or None, kind=kind, limit=limit)
    if as_json:
        print(json.dumps([_as_table(job) for job in jobs], indent=1))
        return
    for job in jobs:
        print(
            f"{job.id:6} {job.state:<9} {_done(store, job):>5}  {job.title}{f'  ({job.reason})' if job.reason else ''}"
        )


def show(store: JobStore, id: int, as_json: bool) -> None:
    """Print all that is known of one job."""
    _look(store)
    job, progress = store.get(id), store.progress(id)
    table = _as_table(job) | {"progress": None if progress is None else progress.model_dump()}
    if as_json:
        print(json.dumps(table, indent=1))
        return
    for name, value in table.items():
        if value not in (None, "", [], ()):
            print(f"{name:14} {' '.join(map(str, value)) if isinstance(value, list) else value}")


def submit(store: JobStore, **given: Any) -> None:
    """Queue a job, start it if it can start, and print its id."""
    job = store.submit(JobSpec(user=_user(), **given))
    scheduling_pass(store)
    print(job.id)


def stop(store: JobStore, id: int) -> None:
    """Stop a job."""
    job = store.stop(id)
    scheduling_pass(store)
    print(f"job {id} is {job.state}")


def retry(store: JobStore, id: int) -> None:
    """Queue a job again that did not succeed."""
    store.retry(id)
    scheduling_pass(store)
    print(f"job {id} is {store.get(id).state}")


def log(store: JobStore, id: int, lines: int) -> None:
    """Print the end of a job's log."""
    store.get(id)
    print(store.log_tail(id, lines))


COMMANDS = {"list": list_jobs, "show": show, "submit": submit, "stop": stop, "retry": retry, "log": log}


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Part our own arguments from the job's command, which stands behind ``--``."""
    place = argv.index("--") if "--" in argv else len(argv)
    return argv[:place], argv[place + 1 :]


def _parser() -> ScriptParser:
    parser = ScriptParser("backend.jobs", __doc__)
    commands = parser.add_subparsers(dest="do", required=True, parser_class=SubParser)
    listing = commands.add_parser("list", help="jobs, newest first")
    listing.add_argument("--state", action="append", default=[], choices=[str(state) for state in JobState])
    listing.add_argument("--kind")
    listing.add_argument("--limit", type=int, default=50)
    listing.add_argument("--json", action="store_true", dest="as_json")
    showing = commands.add_parser("show", help="all that is known of one job")
    showing.add_argument("id", type=int)
    showing.add_argument("--json", action="store_true", dest="as_json")
    for name, words in (("stop", "stop a job"), ("retry", "queue a job again that did not succeed")):
        commands.add_parser(name, help=words).add_argument("id", type=int)
    reading = commands.add_parser("log", help="the end of a job's log")
    reading.add_argument("id", type=int)
    reading.add_argument("--lines", type=int, default=100)
    _add_submit(commands.add_parser("submit", help="queue a command; it stands behind --"))
    return parser


def _add_submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", help="what it is, such as export_frames")
    parser.add_argument("--title", default="")
    parser.add_argument("--output", type=Path, help="folder that only this job may write; decides whether it succeeded")
    parser.add_argument("--project", type=Path)
    parser.add_argument("--video", dest="videos", action="append", default=[], help="name of a video it is about")
    parser.add_argument("--slot", choices=[str(slot) for slot in Slot], default=str(Slot.CPU))
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--after", type=int, nargs="+", default=[], metavar="ID", help="jobs that must succeed first")
    parser.add_argument("--resumable", action="store_true", help="queue it again by itself when it was cut off")
    parser.add_argument("--service", action="store_true", help="a server; it gets --host and --port")


def _look(store: JobStore) -> None:
    """Find out what is true now: nothing else may be running that would have."""
    try:
        scheduling_pass(store)
    except InputError as error:
        print(f"jobs: warning: nothing can start: {error}", file=sys.stderr)


def _as_table(job: Job) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.isoformat()
        return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value

    return {field.name: plain(getattr(job, field.name)) for field in sorted(fields(job), key=lambda f: f.name != "id")}


def _done(store: JobStore, job: Job) -> str:
    progress = store.progress(job.id) if job.state.has_process else None
    return "" if progress is None or progress.share is None else f"{progress.share:.0%}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return ""


if __name__ == "__main__":
    run_script("jobs", main)
