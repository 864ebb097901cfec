"""``python -m backend.train``: whole trainings of the smallest size, started, cut off, resumed and refused."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.jobs.script import StopRequested
from backend.project.errors import InputError
from backend.project.manifest import verify
from backend.train import main
from backend.training import loop as training_loop
from backend.training import run as training_run
from backend.training import train_step as training_stepper
from backend.training.history import read_history
from backend.training.model_folder import ModelFolder
from tests.training.shapes import shapes_set
from tests.training.tiny import arguments, make_data, train, weights_sum

WAIT_S = 240


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Eight training and five validation pictures."""
    return make_data(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def model(data, tmp_path_factory) -> Path:
    """A model after two epochs of four steps."""
    return train(data, tmp_path_factory.mktemp("models") / "tiny", "--n-epoch", "2")


def start(given: list[str], log) -> subprocess.Popen:
    """Start the script in a process group of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "backend.train", *given]
    return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def wait_for(condition, process: subprocess.Popen) -> None:
    """Poll until ``condition()`` holds, while the process lives."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def test_a_finished_model_is_a_whole_folder(model):
    manifest = verify(model)
    assert manifest.counts == {"steps": 8, "images": 8, "instances": 18, "classes": 2}
    assert manifest.number_format == "fp32"
    assert {"model.safetensors", "detector.json", "metrics.json", "README.md", "curves_loss.png"} <= set(manifest.files)
    history = read_history(ModelFolder(model).history)
    assert [point["step"] for point in history["points"]] == list(range(1, 9))
    assert [each["step"] for each in history["evaluations"]] == [4, 8]
    assert {"lr", "images_per_s", "gradient_norm", "memory_gb", "waiting_for_data"} <= set(history["points"][0])
    assert {"loss_mask", "loss"} <= set(history["evaluations"][0]["losses"])
    assert (model / "evaluations" / "predictions_00000008.json").exists()
    assert (model / "pictures" / "val_00000008.jpg").exists()
    assert (model / "pictures" / "train_00000004.jpg").exists()
    card = (model / "README.md").read_text()
    for word in ("ellipse", "train.json: 8 images", "SHA-256", "mask", "![curves_loss.png]"):
        assert word in card


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data, tmp_path, model):
    assert weights_sum(train(data, tmp_path / "same", "--n-epoch", "2")) == weights_sum(model)
    assert weights_sum(train(data, tmp_path / "other", "--n-epoch", "2", "--seed", "1")) != weights_sum(model)


def test_a_stop_saves_a_checkpoint_and_the_resumed_training_ends_with_the_same_bits(data, tmp_path, model, monkeypatch):
    out = tmp_path / "cut"
    take = training_stepper.TrainStep.take

    def take_and_stop(self, state, batch, names):
        result = take(self, state, batch, names)
        if state.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    monkeypatch.setattr(training_stepper.TrainStep, "take", take_and_stop)
    with pytest.raises(StopRequested):
        train(data, out, "--n-epoch", "2")
    monkeypatch.undo()
    assert not (out / "model.safetensors").exists()
    with pytest.raises(InputError, match="go on with --resume"):
        train(data, out, "--n-epoch", "2")
    train(data, out, "--n-epoch", "2", "--resume", "--n-workers", "1")
    assert weights_sum(out) == weights_sum(model)
    assert (out / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert [point["step"] for point in read_history(out / "history.json")["points"]] == list(range(1, 9))
    train(data, out, "--n-epoch", "2", "--resume")  # finished: nothing is done again


def test_a_stop_during_an_evaluation_loses_no_step(data, tmp_path, model, monkeypatch):
    out = tmp_path / "cut"
    monkeypatch.setattr(training_loop.Loop, "_evaluated", lambda self, done, total: self.state.step == 4)
    with pytest.raises(StopRequested):
        train(data, out, "--n-epoch", "2")
    monkeypatch.undo()
    train(data, out, "--n-epoch", "2", "--resume")
    assert weights_sum(out) == weights_sum(model)
    assert [each["step"] for each in read_history(out / "history.json")["evaluations"]] == [4, 8]


def test_long_before_the_end_of_an_epoch_there_is_a_checkpoint_if_it_takes_long(data, tmp_path, model, monkeypatch):
    out = tmp_path / "cut"
    take = training_stepper.TrainStep.take

    def take_three(self, state, batch, names):
        if state.step == 3:
            raise KeyboardInterrupt  # as sudden as a kill: nothing is saved
        return take(self, state, batch, names)

    monkeypatch.setattr(training_loop, "SAVE_EVERY_S", 0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training_stepper.TrainStep, "take", take_three)
        train(data, out, "--n-epoch", "2")
    assert torch.load(out / "checkpoints" / "last.pt", weights_only=True)["state"]["step"] == 3
    train(data, out, "--n-epoch", "2", "--resume")
    assert weights_sum(out) == weights_sum(model)


def test_a_training_cut_off_at_its_very_end_keeps_the_best_weights_when_it_goes_on(data, tmp_path, monkeypatch):
    out = tmp_path / "full"
    evaluate = training_loop.evaluate
    ap = iter([0.5, 0.1])

    def evaluate_worse_and_worse(*given):
        found = evaluate(*given)
        found.metrics["mask"]["ap"] = next(ap)
        return found

    def full_disk(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training_loop, "evaluate", evaluate_worse_and_worse)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(training_run, "write_card", full_disk)
        train(data, out, "--n-epoch", "2")
    best = (out / "model.safetensors").read_bytes()
    train(data, out, "--n-epoch", "2", "--resume")
    assert (out / "model.safetensors").read_bytes() == best
    assert json.loads((out / "metrics.json").read_text())["step"] == 4
    assert verify(out).complete


def test_another_setting_or_data_set_is_refused_on_resume_with_the_keys_that_differ(data, model, tmp_path):
    with pytest.raises(InputError, match=r"differs in lr \(0.01 there, 0.5 here\)"):
        train(data, model, "--n-epoch", "2", "--resume", "--lr", "0.5")
    with pytest.raises(InputError, match="differs in train"):
        train(data, model, "--n-epoch", "2", "--resume", "--train-annot", str(data / "val.json"))


def test_evaluation_alone_gives_the_figures_of_the_training(data, model, tmp_path, capsys):
    given = ["--eval-only", "--model-dir", str(model), "--val-annot", str(data / "val.json"), "--batch-size", "2"]
    main([*given, "--out-dir", str(tmp_path / "check"), "--n-workers", "0", "--gpu-id", "cpu"])
    verify(tmp_path / "check")
    found, kept = (json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path / "check", model))
    assert found["metrics"] == kept["metrics"]
    assert found["losses"] == kept["losses"]
    assert "mask AP" in capsys.readouterr().out
    assert json.loads((tmp_path / "check" / "predictions.json").read_text())


def test_a_training_begins_with_the_weights_of_another(data, model, tmp_path):
    out = train(data, tmp_path / "next", "--n-epoch", "1", "--model-dir", str(model), "--lr", "0.0000001")
    first = read_history(out / "history.json")["points"][0]["loss"]
    last = read_history(model / "history.json")["points"][-1]["loss"]
    assert abs(first - last) < 0.5 * last
    assert json.loads((out / "manifest.json").read_text())["inputs"]["start"]["file"] == "model.safetensors"


def test_it_stops_early_when_ap_no_longer_rises(data, tmp_path, monkeypatch):
    aps = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    evaluate = training_loop.evaluate

    def with_ap(*given):
        found = evaluate(*given)
        found.metrics["mask"]["ap"] = next(aps)
        return found

    monkeypatch.setattr(training_loop, "evaluate", with_ap)
    out = train(data, tmp_path / "early", "--n-epoch", "5", "--early-stop", "2")
    manifest = verify(out)
    assert manifest.counts["steps"] == 16
    assert json.loads((out / "metrics.json").read_text())["step"] == 8


def test_without_a_validation_set_the_last_weights_are_the_model(data, tmp_path):
    given = arguments(data, tmp_path / "out", "--n-epoch", "1")
    place = given.index("--val-annot")
    main(given[:place] + given[place + 2 :])
    verify(tmp_path / "out")
    assert "cannot tell how good" in (tmp_path / "out" / "README.md").read_text()


def test_a_loss_that_is_not_finite_ends_it_and_names_the_batch(data, tmp_path, monkeypatch):
    out = tmp_path / "nan"
    forward = training_stepper.TrainStep._checked

    def spoilt(self, losses, state, names):
        if state.step == 5:
            losses["loss_mask"] = losses["loss_mask"] * float("nan")
        return forward(self, losses, state, names)

    monkeypatch.setattr(training_stepper.TrainStep, "_checked", spoilt)
    with pytest.raises(training_stepper.NotFiniteError, match="step 5: loss_mask is nan, with .*png.* lower --lr"):
        train(data, out, "--n-epoch", "2")
    refused = json.loads((out / "refused_batch.json").read_text())
    assert refused["step"] == 5
    assert len(refused["pictures"]) == 2
    assert torch.load(out / "checkpoints" / "last.pt", weights_only=True)["state"]["step"] == 4


def test_out_of_memory_says_which_setting_to_change(data, tmp_path, monkeypatch):
    def full(self, losses, state, names):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training_stepper.TrainStep, "_checked", full)
    with pytest.raises(InputError, match=r"out of memory on cpu: lower --batch-size \(it is 2\), or --image-size"):
        train(data, tmp_path / "oom", "--n-epoch", "1")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--gpu-id", "3"], "GPU '3' cannot be used"),
        (["--gpu-id", "0", "cpu"], "either GPUs or cpu"),
        (["--n-classes", "5"], "--n-classes 5: .* has 2"),
        (["--lr", "0"], "--lr: Input should be greater than 0"),
        (["--lr", "much"], "--lr: .*given: 'much'"),
        (["--engine", "yolo"], "engine 'yolo' is not known"),
        (["--backbone", "resnet9000"], "backbone 'resnet9000' is not one of"),
        (["--model-dir", "/nowhere"], "there is no such folder"),
        (["--amp", "fp16"], "fp16 needs a GPU"),
        (["--augment", "heavy"], "heavy"),
        (["--image-size", "600", "300"], "must not be below"),
        (["--detections-per-image", "301"], "less than or equal to 300"),
        (["--num-machines", "2"], "needs --dist-url"),
        (["--train-annot", "/nowhere.json"], "No such file"),
        (["--epochs", "3"], "unrecognized arguments"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(data, tmp_path, given, words):
    with pytest.raises(InputError, match=words):
        train(data, tmp_path / "out", *given)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_read_only_folder_is_refused(data, tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "closed" not in str(path) and access(path, mode))
    with pytest.raises(InputError, match="read-only"):  # root may write anywhere, so the answer is made
        train(data, tmp_path / "closed" / "out")


def test_eval_only_needs_a_model_and_data(tmp_path):
    with pytest.raises(InputError, match="--eval-only needs --model-dir and --val-annot"):
        main(["--eval-only", "--out-dir", str(tmp_path)])


def test_two_processes_train_together_and_evaluate_as_one(data, tmp_path):
    out = tmp_path / "two"
    more = ("--num-gpus", "2", "--batch-size", "2", "--n-epoch", "2", "--lr", "0.02")
    with open(tmp_path / "log", "wb") as log:
        process = start(arguments(data, out, *more), log)
        assert process.wait(WAIT_S) == 0, (tmp_path / "log").read_text()
    verify(out)
    kept = json.loads((out / "metrics.json").read_text())
    given = ["--eval-only", "--model-dir", str(out), "--val-annot", str(data / "val.json"), "--batch-size", "2"]
    main([*given, "--out-dir", str(tmp_path / "one"), "--n-workers", "0", "--gpu-id", "cpu"])
    alone = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert alone["metrics"] == kept["metrics"]
    assert alone["losses"] == kept["losses"]
    one = train(data, tmp_path / "single", "--batch-size", "4", "--n-epoch", "2", "--lr", "0.02")
    losses = [[point["loss"] for point in read_history(each / "history.json")["points"]] for each in (out, one)]
    assert np.abs(np.subtract(*losses)).max() < 1.0  # the same pictures; other anchors are drawn


def test_one_of_two_processes_killed_ends_the_other(data, tmp_path):
    import psutil

    out = tmp_path / "two"
    with open(tmp_path / "log", "wb") as log:
        process = start(arguments(data, out, "--num-gpus", "2", "--n-epoch", "500"), log)
        wait_for((out / "checkpoints" / "last.pt").exists, process)
        children = [
            each
            for each in psutil.Process(process.pid).children()
            if "resource_tracker" not in " ".join(each.cmdline())
        ]
        assert len(children) == 2
        children[1].kill()
        assert process.wait(30) != 0
    psutil.wait_procs(children, timeout=5)
    assert not any(child.is_running() for child in children)


def test_a_stop_reaches_two_processes_and_leaves_a_checkpoint(data, tmp_path):
    out = tmp_path / "two"
    with open(tmp_path / "log", "wb") as log:
        process = start(arguments(data, out, "--num-gpus", "2", "--n-epoch", "500"), log)
        wait_for((out / "checkpoints" / "last.pt").exists, process)
        process.terminate()
        assert process.wait(20) == 130, (tmp_path / "log").read_text()
    assert "stopped on request" in (tmp_path / "log").read_text()
    assert torch.load(out / "checkpoints" / "last.pt", weights_only=True)["state"]["step"] > 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_from_random_weights_it_learns_on_the_cpu(tmp_path):
    """Chance is an AP50 near 0: nothing is found before training. The curves fall."""
    shapes_set(tmp_path, "train", 200, 1)
    shapes_set(tmp_path, "val", 50, 2)
    network = "--backbone mobilenet_v3_large --channels 32 --rois 32 --image-size 96 160 --anchor-sizes 12 24 36 48 64"
    numbers = "--batch-size 4 --n-epoch 4 --lr 0.01 --n-workers 1 --gpu-id cpu --log-period 10"
    given = ["--train-annot", str(tmp_path / "train.json"), "--val-annot", str(tmp_path / "val.json")]
    main([*given, "--out-dir", str(tmp_path / "out"), *network.split(), *numbers.split()])
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["metrics"]["mask"]
    history = read_history(tmp_path / "out" / "history.json")
    print(f"mask AP {100 * found['ap']:.1f}, AP50 {100 * found['ap50']:.1f}")
    assert found["ap50"] > 0.6
    losses = [point["loss"] for point in history["points"]]
    assert losses[-1] < 0.6 * losses[0]
    checked = [each["losses"]["loss"] for each in history["evaluations"]]
    assert checked[-1] < checked[0]
