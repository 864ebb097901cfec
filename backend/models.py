"""The models of a project: list them, look at one, compare two on the same pictures.

python -m backend.models list
python -m backend.models show training/ruffs
python -m backend.models compare training/ruffs training/ruffs-2 --val-annot COCO_jsons/lek_val.json --out-dir diff

Start weights come with ``python -m backend.admin weights``.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from backend.jobs.script import ScriptParser, SubParser, checked, run_script
from backend.project.errors import InputError
from backend.project.settings import load_settings
from backend.training.model_folder import ModelRecord, list_models, read_model
from backend.training.settings import CompareSettings


def main(argv: list[str]) -> None:
    """Run one command."""
    given = vars(_parser().parse_args(argv))
    do = given.pop("do")
    COMMANDS[do](**given)


def show_list(folder: Path | None, as_json: bool) -> None:
    """Print the models of a folder, newest first."""
    models = list_models(folder or load_settings().project_folder / "training")
    if as_json:
        print(json.dumps([_facts(model) for model in models], indent=1))
        return
    for model in models:
        date = model.started.strftime("%Y-%m-%d") if model.started else "-"
        note = "" if model.state == "ready" else f"  ({model.state})"
        print(f"{model.name:24} {date:10}  mask AP {_percent(model.mask_ap):>5}  {model.data}{note}")


def show_one(model: Path, as_json: bool) -> None:
    """Print what is known of one model: its card, or why it has none."""
    record = read_model(model)
    if record.manifest is None:
        raise InputError(record.problem)
    if as_json:
        print(json.dumps(_facts(record), indent=1))
        return
    card = model / "README.md"
    print(card.read_text() if card.is_file() else f"{record.name}: {record.state}")


def compare(**given: Any) -> None:
    """Evaluate two models on one set and write which animals each got wrong, worst first."""
    from backend.training.compare_models import compare_models  # torch: seconds the other commands do not need

    compare_models(checked(CompareSettings, given))


def _facts(model: ModelRecord) -> dict[str, Any]:
    return {
        "name": model.name,
        "path": str(model.path),
        "problem": model.problem,
        "note": model.note,
        "started": model.started.isoformat() if model.started else None,
        "detector": model.detector.model_dump(mode="json") if model.detector else None,
        "inputs": model.manifest.inputs if model.manifest else None,
        "metrics": model.metrics,
    }


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser("backend.models", __doc__)
    commands = parser.add_subparsers(dest="do", required=True, parser_class=SubParser)
    listing = commands.add_parser("list", help="all models, newest first")
    listing.add_argument("--folder", type=Path, help="where models lie; the project's training/ by default")
    listing.add_argument("--json", action="store_true", dest="as_json")
    one = commands.add_parser("show", help="a model's card")
    one.add_argument("model", type=Path)
    one.add_argument("--json", action="store_true", dest="as_json")
    two = commands.add_parser("compare", help="two models on the same pictures, prediction by prediction")
    two.add_options(CompareSettings)
    return parser


COMMANDS = {"list": show_list, "show": show_one, "compare": compare}


if __name__ == "__main__":
    run_script("models", main)
