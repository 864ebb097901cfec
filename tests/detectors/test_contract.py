"""What training and inference rely on, for every engine that is installed."""

import copy

import pytest
import torch

from backend.detectors.interface import Detections, Target
from backend.detectors.load import build_detector, load_detector
from backend.detectors.weights import WeightsFile, start_from, write_weights
from backend.project.errors import InputError
from tests.detectors.conftest import KINDS, small

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")  # Detectron2 calls it the old way
SIZES = [(96, 64), (70, 40)]


def truth():
    """One animal in the first picture, none in the second."""
    mask = torch.zeros(1, 64, 96, dtype=torch.uint8)
    mask[:, 12:40, 20:52] = 1
    some = Target(torch.tensor([[20.0, 12.0, 52.0, 40.0]]), torch.tensor([2]), mask)
    none = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 40, 70, dtype=torch.uint8))
    return [some, none]


def state(detector):
    """Return a copy of all weights and running statistics."""
    return {name: value.clone() for name, value in detector.network.state_dict().items()}


def same(first: Detections, second: Detections) -> bool:
    """Tell whether two results are equal, bit by bit."""
    return torch.equal(first.pack(), second.pack())


def test_detections_have_the_shapes_types_and_order_that_are_promised(detector, pictures):
    with torch.no_grad():
        found = detector(pictures)
    n = len(found)
    assert n > 0
    assert (found.image.dtype, found.class_ids.dtype) == (torch.int64, torch.int64)
    assert found.scores.dtype == found.boxes.dtype == found.masks.dtype == torch.float32
    assert found.boxes.shape == (n, 4) and found.masks.shape == (n, 28, 28)
    assert set(found.class_ids.tolist()) <= {1, 2}
    assert found.masks.min() >= 0 and found.masks.max() <= 1
    order = sorted(range(n), key=lambda k: (found.image[k].item(), -found.scores[k].item()))
    assert order == list(range(n))
    assert torch.bincount(found.image).max() <= 20
    assert found.scores.min() > 0.05


def test_detections_lie_inside_their_own_picture_not_in_the_padding(detector, pictures):
    with torch.no_grad():
        found = detector(pictures, SIZES)
    for number, (width, height) in enumerate(SIZES):
        boxes = found.boxes[found.image == number]
        assert boxes.min() >= 0
        assert boxes[:, 2].max() <= width and boxes[:, 3].max() <= height


def test_what_lies_in_the_padding_is_not_seen(detector, pictures):
    other = pictures.clone()
    other[1, :, 40:, :] = 255
    other[1, :, :, 70:] = 255
    with torch.no_grad():
        assert same(detector(pictures, SIZES), detector(other, SIZES))


def test_packing_loses_nothing(detector, pictures):
    with torch.no_grad():
        found = detector(pictures)
    assert same(Detections.unpack(found.pack()), found)
    assert same(found.to_host(), found)


def test_no_detections_at_all_are_an_empty_result(detector, pictures):
    quiet = copy.deepcopy(detector)
    heads = quiet.network.roi_heads
    heads.score_thresh = 1.0  # torchvision
    if hasattr(heads.box_predictor, "test_score_thresh"):
        heads.box_predictor.test_score_thresh = 1.0  # Detectron2
    with torch.no_grad():
        found = quiet(pictures)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4) and found.masks.shape == (0, 28, 28)
    assert same(Detections.unpack(found.pack()), found)


def test_five_finite_losses_whose_gradients_reach_every_weight_that_learns(detector, pictures):
    learner = copy.deepcopy(detector).train()
    losses = learner(pictures, SIZES, truth())
    assert set(losses) == {"loss_class", "loss_box", "loss_mask", "loss_objectness", "loss_proposal_box"}
    assert all(torch.isfinite(loss) and loss.ndim == 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert [name for name, each in learner.named_parameters() if each.requires_grad and each.grad is None] == []


def test_pictures_without_animals_give_finite_losses_too(detector, pictures):
    learner = copy.deepcopy(detector).train()
    losses = learner(pictures, [SIZES[1]] * 2, [truth()[1]] * 2)
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()


def test_losses_in_eval_mode_leave_running_statistics_alone(detector, pictures):
    before = state(detector)
    with torch.no_grad():
        detector(pictures, SIZES, truth())
    after = detector.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(module.training for module in detector.modules())


def test_judging_gives_what_losses_and_detections_give_apart(detector, pictures):
    with torch.no_grad():
        torch.manual_seed(3)
        losses, found = detector.losses_and_detections(pictures, SIZES, truth())
        torch.manual_seed(3)
        apart = detector(pictures, SIZES, truth())
        assert same(found, detector(pictures, SIZES))
    assert {name: loss.item() for name, loss in losses.items()} == {name: loss.item() for name, loss in apart.items()}


def test_half_precision_gives_float32_results_near_those_of_full_precision(detector, pictures):
    other = copy.deepcopy(detector)
    other.number_format = "bf16"
    sums = {"loss_objectness": [0.0, 0.0], "loss_class": [0.0, 0.0]}
    with torch.no_grad():
        for seed in range(6):  # rounding changes the order of proposals, and so which of them are drawn for the loss
            for k, each in enumerate((other, detector)):
                torch.manual_seed(seed)
                losses, found = each.losses_and_detections(pictures, SIZES, truth())
                assert found.scores.dtype == found.boxes.dtype == found.masks.dtype == torch.float32
                for name, both in sums.items():
                    both[k] += losses[name].item() / 6
    for name, (half, full) in sums.items():
        assert half == pytest.approx(full, rel=0.1, abs=0.05), name


def test_frozen_stages_do_not_learn(detector):
    kind = next(name for name, (engine, backbone, _) in KINDS.items() if backbone == detector.settings.backbone)
    counts = []
    for frozen in (0, 1, 3, 5):
        built = build_detector(small(kind, frozen_stages=frozen, norm="frozen"))
        counts.append(sum(each.requires_grad for each in built.network.backbone.parameters()))
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 4


def test_every_stage_has_activations(detector, pictures):
    stages = detector.activations()
    assert len(stages) == 4
    assert all(modules for modules in stages.values())


def test_saved_and_loaded_it_finds_the_same(detector, pictures, tmp_path):
    path = tmp_path / "a.safetensors"
    write_weights(path, detector.network.state_dict(), detector.settings)
    loaded = load_detector(path)
    assert loaded.settings == detector.settings
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    with torch.no_grad():
        assert same(loaded(pictures), detector(pictures))


def test_restricted_to_one_class_it_finds_what_it_found_of_that_class(detector, pictures, tmp_path):
    path = tmp_path / "a.safetensors"
    write_weights(path, detector.network.state_dict(), detector.settings)
    with torch.no_grad():
        both, alone = (load_detector(path, classes=names)(pictures) for names in (None, ("reeve",)))
    kept = both.class_ids == 2
    assert torch.equal(alone.scores, both.scores[kept])
    assert torch.equal(alone.boxes, both.boxes[kept])
    assert torch.equal(alone.masks, both.masks[kept])
    assert set(alone.class_ids.tolist()) <= {1}
    assert load_detector(path, classes=("reeve",)).settings.class_names == ("reeve",)
    with pytest.raises(InputError, match="class 'heron' is not one of the model's: ruff, reeve"):
        load_detector(path, classes=("heron",))


def test_weights_of_other_classes_start_a_new_detector(detector):
    kind = next(name for name, (engine, backbone, _) in KINDS.items() if backbone == detector.settings.backbone)
    other = build_detector(small(kind, class_names=("heron", "reeve", "stork")))
    before = state(other)
    started = start_from(other, WeightsFile(state(detector), detector.settings, False))
    assert started.classes == ("reeve",)
    assert started.random == ()
    given, now = state(detector), state(other)
    for name, value in now.items():
        rows = next((rows for start, rows in other.class_rows.items() if name.startswith(start)), None)
        if rows is None:
            assert torch.equal(value, given[name]), name
            continue
        first = int(rows.background == "first")
        old, new = (slice((place + first) * rows.per_class, (place + first + 1) * rows.per_class) for place in (1, 1))
        assert torch.equal(value[new], given[name][old]), name  # reeve
        stork = slice((2 + first) * rows.per_class, (3 + first) * rows.per_class)
        assert torch.equal(value[stork], before[name][stork]), name


def test_over_exposed_pictures_are_darkened_when_asked(detector, pictures):
    kind = next(name for name, (engine, backbone, _) in KINDS.items() if backbone == detector.settings.backbone)
    gamma = build_detector(small(kind, auto_gamma=True)).eval()
    gamma.network.load_state_dict(detector.network.state_dict())
    bright = (pictures // 4 + 180).clone()
    bright[:, :, :20] = 255
    with torch.no_grad():
        assert same(gamma(pictures), detector(pictures))
        assert not same(gamma(bright), detector(bright))
