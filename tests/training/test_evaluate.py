"""Evaluation gives the same figures however it is shared, and leaves the training alone."""

import pytest
import torch

from backend.detectors.load import load_detector
from backend.training.data_loading import Pictures, collate
from backend.training.distributed import ProcessGroup
from backend.training.evaluate import Interrupted, _Part, _together, evaluate, predict, watch_activations
from backend.training.read_coco import read_pictures

ALONE = ProcessGroup(0, 1, torch.device("cpu"))


def never(done: int, total: int) -> bool:
    """Go on."""
    return False


@pytest.fixture(scope="module")
def detector(model):
    """The tiny model, which finds something everywhere."""
    return load_detector(model, changes={"score_threshold": 0.01})


def test_shares_joined_equal_one_evaluation(detector, data):
    found = read_pictures(data / "val.json")
    whole = evaluate(detector, found, ALONE, 2, 0, 5, never)
    parts = [_Part(), _Part()]
    for number, places in enumerate(([0, 1], [2, 3], [4])):
        batch = collate([Pictures(found, detector.settings)[0, place] for place in places])
        parts[number % 2].add(number, detector, batch, found, 5)
    shared = _together(parts, found, detector, first=True)
    assert whole.results
    assert (shared.losses, shared.metrics, shared.results) == (whole.losses, whole.metrics, whole.results)
    assert shared.dead == whole.dead


def test_it_uses_no_random_numbers_of_the_training_and_keeps_the_mode(detector, data):
    found = read_pictures(data / "val.json")
    before = torch.random.get_rng_state()
    first = evaluate(detector, found, ALONE, 2, 0, 5, never)
    torch.manual_seed(99)
    detector.train()
    again = evaluate(detector, found, ALONE, 2, 0, 5, never)
    assert detector.training
    detector.eval()
    torch.random.set_rng_state(before)
    assert first.losses == again.losses
    assert first.results == again.results


def test_a_stop_in_the_middle_gives_it_up(detector, data):
    with pytest.raises(Interrupted):
        evaluate(detector, read_pictures(data / "val.json"), ALONE, 2, 0, 5, lambda done, total: done >= 2)


def test_results_lie_in_the_original_picture_and_one_after_the_other_are_the_same(detector, data):
    found = read_pictures(data / "val.json")
    results = predict(detector, found, [0, 3])
    assert {result["image_id"] for result in results} == {1, 4}
    for result in results:
        x, y, width, height = result["bbox"]
        assert x >= -1e-3 and x + width <= 96.001 and y >= -1e-3 and y + height <= 64.001
        assert result["segmentation"]["size"] == [64, 96]
        assert result["category_id"] in (1, 2)


def test_a_dead_stage_is_seen(detector):
    with torch.no_grad(), watch_activations(detector) as shares:
        detector(torch.randint(0, 255, (1, 3, 64, 96), dtype=torch.uint8))
    assert set(shares) == {"2", "4", "7", "16"}
    assert all(0 <= share < 0.9 for share in shares.values())
    body = detector.network.backbone.body
    kept = {name: value.clone() for name, value in body["2"].state_dict().items()}
    for module in body["2"].modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.weight.zero_()
            module.bias.fill_(-5.0)
    with torch.no_grad(), watch_activations(detector) as shares:
        detector(torch.randint(0, 255, (1, 3, 64, 96), dtype=torch.uint8))
    body["2"].load_state_dict(kept)
    assert shares["2"] > 0.4
