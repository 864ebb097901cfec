"""Administer an installation: examine it, back it up, clean it, report on it.

python -m backend.admin init --project /srv/lektrack --videos /srv/videos
python -m backend.admin doctor
python -m backend.admin backup --dest /mnt/backup --keep 14
python -m backend.admin verify /mnt/backup/lektrack-20270401-060000
python -m backend.admin restore /mnt/backup/lektrack-20270401-060000 --project /srv/lektrack --state /srv/state
python -m backend.admin clean
python -m backend.admin morning --hours 24
python -m backend.admin weights fetch coco_resnet50
python -m backend.admin weights add model_final_f10217.pkl
python -m backend.admin token rotate
python -m backend.admin report --out report.txt
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tqdm import tqdm

from backend.jobs.progress import Progress
from backend.jobs.script import ScriptParser, SubParser, run_script
from backend.project.atomic import atomic_write
from backend.project.disk import as_bytes
from backend.project.errors import InputError
from backend.project.manifest import sha256
from backend.project.settings import (
    Settings,
    check_beside,
    first_problem,
    load_settings,
    save_settings,
    state_folder,
)


def main(argv: list[str]) -> None:
    """Run one command."""
    given = vars(_parser().parse_args(argv))
    COMMANDS[given.pop("do")](**given)


def init(project: Path, videos: list[Path], host: str | None, port: int | None) -> None:
    """Make the settings of a new installation; in an old one, allow further video folders and set the address."""
    found = load_settings()
    is_new = not (state_folder() / "settings.toml").exists()
    given = {
        "project_folder": project.absolute() if is_new else found.project_folder,
        "allowed_roots": tuple(dict.fromkeys([*found.allowed_roots, *(path.absolute() for path in videos)])),
        "bind_address": host or found.bind_address,
        "app_port": port or found.app_port,
    }
    for path in videos:
        if not path.is_dir():
            raise InputError(f"--videos {path} is not a folder")
    try:
        settings = Settings(**found.model_dump() | given)
    except ValidationError as error:
        raise InputError(first_problem(error)) from error
    check_beside(settings.project_folder, state_folder())
    settings.project_folder.mkdir(parents=True, exist_ok=True)
    save_settings(settings)
    print(f"settings in {state_folder() / 'settings.toml'}, project in {settings.project_folder}")
    if settings.project_folder != project.absolute():
        print(f"it stays there; --project {project} is for a new installation: change it under Settings")


def sample() -> None:
    """Make the sample project: two rendered clips with outlines. What is there already stays."""
    from backend.lek.sample import sample as make

    project = load_settings().project_folder
    made = make(project)
    print(f"{project}: {'the sample is there' if made else 'the sample was there already'}")


def doctor(as_json: bool) -> None:
    """Print a line for each thing that was looked at; exit code 1 if one of them will fail."""
    from backend.upkeep.doctor import examine
    from backend.upkeep.findings import Level

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            print(finding, flush=True)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    if any(finding.level is Level.BAD for finding in findings):
        sys.exit(1)


def backup(dest: Path, videos: bool, keep: int | None) -> None:
    """Back the installation up while it runs."""
    from backend.upkeep.backup import back_up

    if keep is not None and keep < 1:
        raise InputError(f"--keep {keep} is not allowed: at least 1 backup stays")
    with _Bar() as bar:
        folder = back_up(dest, with_videos=videos, keep=keep, report=bar.show)
    print(folder)


def verify(folder: Path) -> None:
    """Read a whole backup and compare it with its checksums."""
    from backend.upkeep.backup import verify_backup

    with _Bar() as bar:
        found = verify_backup(folder, bar.show)
    print(f"{folder} is whole: {len(found.files)} files of {found.made:%Y-%m-%d %H:%M} UTC")


def restore(folder: Path, project: Path, state: Path) -> None:
    """Put a backup back."""
    from backend.upkeep.restore import restore as put_back

    with _Bar() as bar:
        missing = put_back(folder, project, state, bar.show)
    for record in missing:
        print(f"video {record.slug}: {record.problem}; link it anew with Repair on the page Videos")
    print(f"restored; start it with LEKTRACK_STATE={shlex.quote(str(state.absolute()))} bash setup.sh start")


def clean(delete: list[str]) -> None:
    """Print what can be deleted and how much that frees; delete what is named."""
    from backend.upkeep.clean import clean as delete_kinds
    from backend.upkeep.clean import rubbish

    deleted = {each.kind for each in delete_kinds(delete)} if delete else set()
    for each in rubbish():
        words = "deleted" if each.kind in deleted else f"{as_bytes(each.bytes):>9} {each.count:5}"
        print(f"{each.kind:13} {words:>15}  {each.meaning}")
    if not delete:
        print("nothing was deleted; name what may go, such as: clean --delete cache half-written")


def weights(what: str, **given: Any) -> None:
    """Fetch start weights from the network, or take over files."""
    given["folder"] = given["folder"] or load_settings().project_folder / "weights"
    {"fetch": _fetch_weights, "add": _add_weights}[what](**given)


def _fetch_weights(name: str, folder: Path, url: str | None) -> None:
    from backend.detectors.fetch import fetch  # torch: seconds that the other commands do not need

    with Progress() as progress:

        def told(done: int, total: int | None) -> None:
            if done == 0:
                progress.stage(f"fetching {name}", total)
            progress.update(done)

        path = fetch(name, folder, url, told)
    print(f"{path}: ready")


def _add_weights(files: list[Path], folder: Path, name: str) -> None:
    from backend.detectors.import_weights import import_weights, weights_files

    paths = [path for given in files for path in weights_files(given)]
    if name and len(paths) > 1:
        raise InputError(f"--name is for one file; these are {len(paths)}")
    for path in paths:
        dest, held = import_weights(path, folder, name)
        network = f"{held.settings.engine} {held.settings.backbone}"
        kind = "backbone" if held.backbone_only else f"detector of {held.settings.n_classes} classes"
        print(f"{dest}: {network}, {kind}, SHA-256 {sha256(dest)}")


def morning(hours: float, write: bool) -> None:
    """Print what happened in the last hours."""
    from backend.upkeep.morning import as_markdown, look_back, write_report

    if not 0 < hours <= 24 * 366:
        raise InputError(f"--hours {hours:g} is not allowed: use more than 0 and at most {24 * 366}")
    night, settings = look_back(datetime.now(UTC) - timedelta(hours=hours)), load_settings()
    print(as_markdown(night, settings.time_zone))
    if write:
        print(write_report(night, settings))


def notify() -> None:
    """Send a message to where the settings say, to see whether it arrives."""
    from backend.upkeep.notify import notify as send

    where = load_settings().notify
    if not where.email_to and not where.webhook_url:
        raise InputError("the settings name nobody to tell; enter an e-mail address or a webhook under Settings")
    problem = send(where, state_folder(), "a trial message", "Messages of the morning report will come like this one.")
    if problem:
        raise InputError(problem)
    print("sent")


def token(what: str) -> None:
    """Replace the sign-in token."""
    from backend.web.token import rotate_token, token_path

    rotate_token()
    print(f"everybody is signed out; the new token is in {token_path()}")


def report(out: Path) -> None:
    """Write one file for a report of a fault."""
    from backend.upkeep.fault_report import fault_report

    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    if out.is_dir():
        raise InputError(f"--out {out} is a folder; name a file, such as {out / 'report.txt'}")
    atomic_write(out, fault_report())
    print(f"{out}: read it before you send it; names of videos and folders stand in it, secrets do not")


class _Bar:
    """A bar of bytes on a terminal; nothing in a log."""

    def __enter__(self) -> "_Bar":
        self._bar = tqdm(total=0, unit="B", unit_scale=True, disable=None, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, done: int, total: int) -> None:
        """Move the bar."""
        self._bar.total = total
        self._bar.update(done - self._bar.n)


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser("backend.admin", __doc__)
    commands = parser.add_subparsers(dest="do", required=True, parser_class=SubParser)
    making = commands.add_parser("init", help="make the settings of a new installation, or allow further video folders")
    making.add_argument("--project", type=Path, required=True, help="where everything that Lektrack makes is kept")
    making.add_argument("--videos", type=Path, action="append", default=[], help="a folder that videos lie in")
    making.add_argument("--host", help="address that the servers listen on")
    making.add_argument("--port", type=int, help="port of the web app")
    commands.add_parser("sample", help="make the sample project in the project folder")
    looking = commands.add_parser("doctor", help="examine the installation; each line is ok, or says what to do")
    looking.add_argument("--json", action="store_true", dest="as_json")
    saving = commands.add_parser("backup", help="back up project and job table while everything runs")
    saving.add_argument(
        "--dest", type=Path, required=True, help="folder on another disk; each backup is a folder there"
    )
    saving.add_argument(
        "--videos", action="store_true", help="copy also the videos that lie outside the project folder"
    )
    saving.add_argument("--keep", type=int, help="delete older backups beyond this number")
    commands.add_parser("verify", help="compare a backup with its checksums").add_argument("folder", type=Path)
    restoring = commands.add_parser("restore", help="put a backup back into empty folders")
    restoring.add_argument("folder", type=Path)
    restoring.add_argument("--project", type=Path, required=True, help="the new project folder")
    restoring.add_argument("--state", type=Path, required=True, help="the new state folder")
    cleaning = commands.add_parser("clean", help="list what can be deleted; with --delete, delete it")
    cleaning.add_argument("--delete", nargs="+", default=[], metavar="KIND")
    _add_weights_commands(commands.add_parser("weights", help="bring start weights into the project's weights/"))
    looking_back = commands.add_parser("morning", help="what ran, what failed and why, what is ready to review")
    looking_back.add_argument("--hours", type=float, default=24)
    looking_back.add_argument("--write", action="store_true", help="also as a file in the project's reports/")
    commands.add_parser("notify", help="send a trial message to those who are told in the morning")
    commands.add_parser("token", help="replace the sign-in token").add_argument("what", choices=["rotate"])
    faults = commands.add_parser("report", help="one file with versions, settings and logs for a report of a fault")
    faults.add_argument("--out", type=Path, required=True)
    return parser


def _add_weights_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="what", metavar="fetch|add", required=True, parser_class=SubParser)
    network = commands.add_parser("fetch", help="weights trained on COCO or ImageNet, from the network, checked")
    network.add_argument(
        "name", help="coco_resnet50, coco_resnet50_v2, imagenet_resnet18 and more; a wrong name lists all"
    )
    network.add_argument("--url", help="a mirror's address of the same file")
    files = commands.add_parser("add", help="files: ours, torchvision's (.pth), of Detectron2's model zoo (.pkl)")
    files.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a file, or a folder of them")
    files.add_argument("--name", default="", help="what it is called in weights/; by default as the file")
    for each in (network, files):
        each.add_argument("--folder", type=Path, help="where it goes; the project's weights/ by default")


COMMANDS = {
    "init": init,
    "sample": sample,
    "doctor": doctor,
    "backup": backup,
    "verify": verify,
    "restore": restore,
    "clean": clean,
    "weights": weights,
    "morning": morning,
    "notify": notify,
    "token": token,
    "report": report,
}


if __name__ == "__main__":
    run_script("admin", main)
