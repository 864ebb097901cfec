"""The ``lektrack`` command: ``lektrack track --help`` is ``python -m backend.track --help``, from any folder.

    lektrack                                        # list the commands
    lektrack track --detections data/inference_output/lek/night-1
    lektrack doctor
    lektrack jobs list
    lektrack app                                    # the web app

`setup.sh install` writes ``.venv/bin/lektrack``, which runs this module. Every script parses its own arguments.
"""

import ast
import os
import re
import runpy
import sys
from pathlib import Path
from typing import NoReturn

from backend.jobs.script import BAD_INPUT, run_script
from backend.project.errors import InputError
from backend.project.settings import REPOSITORY

# Command: module and first arguments, in the order of the work.
COMMANDS: dict[str, tuple[str, ...]] = {
    "app": ("gui",),
    "export-frames": ("backend.export_frames",),
    "segannot": ("segannot",),
    "mask2coco": ("backend.mask2coco",),
    "train": ("backend.train",),
    "models": ("backend.models",),
    "inference": ("backend.inference",),
    "visualize": ("backend.visualize",),
    "describe": ("backend.describe",),
    "track": ("backend.track",),
    "board": ("board",),
    "from-tracks": ("segannot.from_tracks",),
    "zone-stats": ("backend.zone_stats",),
    "export-tracks": ("backend.export_tracks",),
    "import-tracks": ("backend.import_tracks",),
    "import-detections": ("backend.import_detections",),
    "match-identities": ("backend.match_identities",),
    "evaluate-tracking": ("backend.evaluate_tracking",),
    "before-after": ("backend.before_after",),
    "simulate": ("backend.simulate",),
    "proxy": ("backend.proxy",),
    "remux": ("backend.remux",),
    "jobs": ("backend.jobs",),
    "admin": ("backend.admin",),
    "doctor": ("backend.admin", "doctor"),
}


def main(argv: list[str]) -> None:
    """Run the script of the first argument with all others; without any, list the commands."""
    name = argv[0].replace("_", "-") if argv else "--help"
    if name in ("-h", "--help"):
        print(command_list())
        sys.exit(0 if argv else BAD_INPUT)
    if name not in COMMANDS:
        raise InputError(f"unknown command {argv[0][:60]!r}; lektrack alone lists them")
    run_command(name, argv[1:])


def command_list() -> str:
    """Return the commands, a line each: its name and the first words of its script's docstring."""
    lines = [f"  {name:18} {summary(*module)}" for name, module in COMMANDS.items()]
    return "\n".join(["lektrack COMMAND [OPTIONS]   (lektrack COMMAND --help lists the options)", "", *lines])


def summary(module: str, *arguments: str) -> str:
    """Return what a command does in a few words, read from the source: importing all of them takes seconds."""
    if arguments:
        return f"the same as {module.rpartition('.')[2]} {' '.join(arguments)}"
    path = REPOSITORY / module.replace(".", "/")
    path = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return re.split(r"[:.\n]", text)[0]


def run_command(name: str, arguments: list[str]) -> NoReturn:
    """Run a script in this process as ``python -m`` would, and leave with its exit code."""
    module, *first = COMMANDS[name]
    if state := os.environ.get("LEKTRACK_STATE"):  # meant from here; the app and jobs run in Lektrack's folder
        os.environ["LEKTRACK_STATE"] = str(Path(state).absolute())
    sys.argv[1:] = [*first, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    run_script("lektrack", main)
