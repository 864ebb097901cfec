"""The models of a project: list them, look at one, compare two on the same pictures, take over weights made elsewhere.

python -m backend.models list
python -m backend.models show training/ruffs
python -m backend.models compare training/ruffs training/ruffs-2 --val-annot COCO_jsons/lek_val.json --out-dir diff
python -m backend.models fetch coco_resnet50
python -m backend.models convert model_final_f10217.pkl weights/coco_R_50.safetensors
"""

import argparse
import json
from pathlib import Path
from typing import Any

from backend.jobs.progress import Progress
from backend.jobs.script import ScriptParser, SubParser, checked, run_script
from backend.project.errors import InputError
from backend.project.settings import load_settings
from backend.training.library import ModelRecord, list_models, read_model


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
        note = f"  ({model.problem})" if model.problem else ""
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
    print(card.read_text() if card.is_file() else f"{record.name}: {record.problem}")


def compare(**given: Any) -> None:
    """Evaluate two models on one set and write which animals each got wrong, worst first."""
    from backend.training.versus import CompareSettings, versus  # torch: seconds the other commands do not need

    versus(checked(CompareSettings, given))


def convert(source: Path, dest: Path) -> None:
    """Turn weights of torchvision or Detectron2's zoo into a weights file of ours."""
    from backend.detectors.convert import convert as read
    from backend.detectors.weights import write_weights

    if dest.suffix != ".safetensors":
        raise InputError(f"{dest}: the converted file's name ends in .safetensors")
    if not dest.parent.is_dir():
        raise InputError(f"{dest}: there is no folder {dest.parent}")
    found = read(source)
    write_weights(dest, found.weights, found.settings, found.backbone_only)
    kind = "backbone" if found.backbone_only else f"detector of {found.settings.n_classes} classes"
    print(f"{dest}: {found.settings.engine} {found.settings.backbone}, {kind}")


def fetch_weights(name: str, folder: Path | None, url: str | None) -> None:
    """Bring weights that others trained from the network into the project's ``weights/``."""
    from backend.detectors.fetch import fetch

    with Progress() as progress:

        def told(done: int, total: int | None) -> None:
            if done == 0:
                progress.stage(f"fetching {name}", total)
            progress.update(done)

        path = fetch(name, folder or load_settings().project_folder / "weights", url, told)
    print(f"{path}: ready")


def _facts(model: ModelRecord) -> dict[str, Any]:
    return {
        "name": model.name,
        "path": str(model.path),
        "problem": model.problem,
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
    two.add_argument("first", type=Path)
    two.add_argument("second", type=Path)
    two.add_argument("--val-annot", type=Path, required=True)
    two.add_argument("--out-dir", type=Path, required=True)
    two.add_argument("--gpu-id", nargs="+", default=(), help="number of a GPU, or cpu")
    two.add_argument("--batch-size", default=2)
    two.add_argument("--n-workers", default=4)
    two.add_argument("--amp", default="auto")
    network = commands.add_parser("fetch", help="weights trained on COCO or ImageNet, from the network")
    network.add_argument(
        "name", help="coco_resnet50, coco_resnet50_v2, imagenet_resnet18 and more; a wrong name lists all"
    )
    network.add_argument("--folder", type=Path, help="where the file goes; the project's weights/ by default")
    network.add_argument("--url", help="a mirror's address of the same file")
    other = commands.add_parser("convert", help="take over weights of torchvision or Detectron2's model zoo")
    other.add_argument("source", type=Path)
    other.add_argument("dest", type=Path)
    return parser


COMMANDS = {"list": show_list, "show": show_one, "compare": compare, "fetch": fetch_weights, "convert": convert}


if __name__ == "__main__":
    run_script("models", main)
