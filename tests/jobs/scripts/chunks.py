"""Write N numbered files, resumable, with a manifest: OUTPUT N SECONDS_A_FILE [--say JSONL] [--fail-after K].

What a work script of Lektrack does, in small. Appends a line when it begins and ends to the file of ``--say``.
"""

import argparse
import json
import os
import time
from pathlib import Path

from backend.jobs.progress import Progress
from backend.jobs.script import run_script
from backend.project.atomic import atomic_write, remove_temporary
from backend.project.locks import output_lock
from backend.project.manifest import begin_manifest, finished_file, now


def main(argv: list[str]) -> None:
    """Do it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--say", type=Path)
    parser.add_argument("--forget", action="store_true", help="end well, but leave the manifest incomplete")
    given = parser.parse_args(argv)
    with output_lock(given.output), Progress() as progress:
        say(given.say, "begin")
        remove_temporary(given.output)
        manifest = begin_manifest(given.output, "chunks", {}, {"count": given.count})
        progress.stage("writing", total=given.count, limit_s=60)
        for number in range(given.count):
            path = given.output / f"{number:06d}.txt"
            if not path.exists():
                time.sleep(given.seconds)
                atomic_write(path, f"{number}\n" * 100)
            manifest.files[path.name] = finished_file(path)
            progress.update(number + 1)
        manifest.complete, manifest.finished = not given.forget, now()
        manifest.write(given.output)
        say(given.say, "end")


def say(path: Path | None, what: str) -> None:
    """Append a line; O_APPEND keeps lines of several processes apart."""
    if path is not None:
        record = {"what": what, "job": os.environ.get("LEKTRACK_JOB_ID"), "pid": os.getpid(), "at": time.monotonic()}
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, (json.dumps(record) + "\n").encode())
        os.close(descriptor)


if __name__ == "__main__":
    run_script("chunks", main)
