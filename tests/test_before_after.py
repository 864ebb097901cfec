"""Two models on one video: figures are those of the rooms they come from, and runs that do not fit are refused."""

import json
from pathlib import Path

import pytest

from backend.before_after import main
from backend.project.atomic import atomic_json
from backend.project.errors import InputError
from backend.project.manifest import begin_manifest, verify
from backend.tracking.evaluation.correspondence import compare, read_tracks, read_truth
from backend.tracking.evaluation.metrics import tracking_metrics
from backend.tracking.tracks.edits import edit_line, parse_edit
from backend.zones.zone_file import save_zones
from tests.tracking.track_samples import two_birds, write_run
from tests.zones.made import rectangle, zones_of


@pytest.fixture
def lek(tmp_path: Path) -> Path:
    """Two birds with their true tracks (new) and with those of which one is missed half of the time (old)."""
    root = tmp_path / "lek"
    true = two_birds(60)
    missed = (true.identity == 1) & (true.frame >= 30)
    for model, tracks in (("old", true.select(~missed)), ("new", true)):
        write_run(root / "track_output" / "lek" / model, tracks, model)
        facts = {"video": "lek", "width": 200, "height": 100, "fps": 25, "frame_start": 0, "frame_end": 60}
        facts |= {"chunk_frames": 60, "class_names": ["bird"]}
        found_by = {"model": f"training/{model}", "model_identity": {"sha256": model}}
        run = root / "inference_output" / "lek" / model
        run.mkdir(parents=True)
        begin_manifest(run, "inference", found_by, facts).write(run)
    rows = [
        f"{frame + 1},{track},{x1},{y1},{x2 - x1},{y2 - y1},1"
        for frame, track, (x1, y1, x2, y2) in zip(true.frame, true.track_id, true.boxes, strict=True)
    ]
    (root / "truth.txt").write_text("\n".join(rows))
    half = [{"name": "left", "shape": rectangle(0, 0, 90, 100)}, {"name": "right", "shape": rectangle(90, 0, 200, 100)}]
    save_zones(root / "zones.json", zones_of(*half), 0)
    (root / "compared").mkdir()
    compared = begin_manifest(root / "compared", "compare", {"a": {"sha256": "old"}, "b": {"sha256": "new"}}, {})
    compared.complete = True
    compared.write(root / "compared")
    ap = {key: {"metrics": {"mask": {"ap": value}}} for key, value in (("a", 0.5), ("b", 0.75))}
    atomic_json(root / "compared" / "comparison.json", {"val_annot": "sets/lek_val.json", "figures": ap})
    return root


def runs(lek: Path, before: str = "old", after: str = "new") -> list[str]:
    parent = lek / "track_output" / "lek"
    return ["--before", str(parent / before), "--after", str(parent / after)]


def test_figures_are_those_of_the_automatic_tracks(lek: Path, tmp_path: Path) -> None:
    more = ["--truth", str(lek / "truth.txt"), "--zones", str(lek / "zones.json"), "--compared", str(lek / "compared")]
    log = lek / "corrections" / "lek" / "old.jsonl"
    gone = {"act": "not_a_bird", "from_frame": 0, "anchor": {"frame": 0, "detection": 0}}
    log.parent.mkdir(parents=True)
    log.write_bytes(edit_line(parse_edit({"id": 1, "when": "2026-05-01T12:00:00Z", "who": "A", "version": 0, **gone})))
    main([*runs(lek), *more, "--out", str(tmp_path / "out")])
    verify(tmp_path / "out")
    found = json.loads((tmp_path / "out" / "before_after.json").read_bytes())
    rows = {each["figure"]: each for each in found["rows"]}
    assert found["models"] == {"before": "old", "after": "new"}
    assert (rows["Mask AP, %"]["before"], rows["Mask AP, %"]["after"]) == (50, 75)
    for side, run, corrected in (("before", "old", False), ("after", "new", False), ("corrected", "old", True)):
        annotations, frames, fps = read_tracks(lek / "track_output" / "lek" / run, None, corrected)
        figures = tracking_metrics(compare(read_truth(lek / "truth.txt"), annotations, frames, fps, False))
        assert rows["HOTA, %"][side] == pytest.approx(100 * figures["HOTA"])
    assert rows["HOTA, %"]["after"] == pytest.approx(100)
    assert rows["HOTA, %"]["corrected"] < rows["HOTA, %"]["before"] < 100
    means = [
        [rows[f"Birds in {zone}"][side] for zone in ("left", "right")] for side in ("before", "after", "corrected")
    ]
    assert means == [[1, 0.5], [1, 1], [0, 0.5]]
    assert "| HOTA, % |" in (tmp_path / "out" / "README.md").read_text()


def test_what_does_not_fit_is_refused(lek: Path, tmp_path: Path) -> None:
    def refused(*options: str) -> str:
        with pytest.raises(InputError) as error:
            main([*options, "--out", str(tmp_path / "out")])
        assert not (tmp_path / "out").exists()
        return str(error.value)

    assert "model a is not the one behind" in refused(*runs(lek, "new", "old"), "--compared", str(lek / "compared"))
    assert "holds no comparison" in refused(*runs(lek), "--compared", str(lek))
    assert "nothing to compare" in refused(*runs(lek))
    assert "holds no tracks" in refused("--before", str(tmp_path), *runs(lek)[2:])
