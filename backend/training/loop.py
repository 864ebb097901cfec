"""The training loop: steps, and between them checkpoints, evaluations and drawings.

What is due after a step (a checkpoint, an evaluation, pictures) follows from the step and the state alone, so a
training that was cut off anywhere goes on as it would have done.
"""

import math
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

import psutil
import torch

from backend.jobs.progress import Progress
from backend.jobs.script import StopRequested
from backend.training.checkpoints import save_checkpoint
from backend.training.data_loading import Batch, TrainingOrder
from backend.training.distributed import ProcessGroup
from backend.training.evaluate import Interrupted, evaluate
from backend.training.read_coco import PictureSet
from backend.training.record import Record
from backend.training.settings import TrainSettings
from backend.training.train_step import Phases, TrainingState, TrainStep

SAVE_EVERY_S = 600.0  # an epoch on a CPU may take a night: no kill costs more than this
STEP_LIMIT_S = 900.0  # longest silence that is normal: a step on a slow CPU, or reading the first batches


class Stop:
    """Remembers SIGTERM and Ctrl-C instead of raising, so that a step is finished before a checkpoint is written."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "Stop":
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


@dataclass
class Loop:
    """A training from where its state is to its end. Only the first process has a ``record`` and a ``progress``."""

    settings: TrainSettings
    group: ProcessGroup
    train_step: TrainStep
    state: TrainingState
    order: TrainingOrder
    batches: Iterator[Batch]
    training_set: PictureSet
    validation_set: PictureSet | None
    record: Record | None
    progress: Progress | None

    def __post_init__(self) -> None:
        self._stop = Stop()
        self._saved, self._saved_at = (self.state.step, self.state.evaluated), time.monotonic()
        self._batch: Batch | None = None
        self._sums: dict[str, float] = defaultdict(float)
        self._summed = 0
        self._since, self._stage = time.perf_counter(), ""

    def run(self) -> None:
        """Train to the last step or an early stop.

        Raises
        ------
        StopRequested
            After a checkpoint, if SIGTERM or Ctrl-C came to any process.
        """
        with self._stop:
            self._do_what_is_due()
            while not self.finished:
                self._step()
                if self.group.any(self._stop.asked):
                    self._leave()
                self._do_what_is_due()
            self._save()

    @property
    def finished(self) -> bool:
        """Whether the last step was taken or the validation AP has stopped rising."""
        patience = self.settings.early_stop
        return self.state.step >= self.order.n_steps or bool(patience and self.state.stale >= patience)

    def _step(self) -> None:
        self._report_stage("training", self.order.n_steps, self.state.step)
        began = time.perf_counter()
        self._batch = next(self.batches).to(self.group.device)
        self.train_step.phases.data += time.perf_counter() - began
        names = [self.training_set.pictures[index].path.name for index in self._batch.indices]
        losses, norm = self.train_step.take(self.state, self._batch, names)
        for name, value in losses.items():
            self._sums[name] += value
        self._sums["norm"] += norm
        self._summed += 1
        if self.state.step % self.settings.log_period == 0 or self.state.step == self.order.n_steps:
            self._add_point()
        if self.progress is not None:
            epoch = self.state.step / self.order.steps_per_epoch
            self.progress.update(self.state.step, f"epoch {epoch:.1f}, loss {sum(losses.values()):.3f}")

    def _do_what_is_due(self) -> None:
        state, last = self.state, self.state.step >= self.order.n_steps
        if last or self._is_at(self.settings.ckpt_period) or time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self._save()  # first: an evaluation takes long, and steps must not be lost in it
        if self.validation_set is not None and state.evaluated < state.step:
            if last or self._is_at(self.settings.eval_period):
                self._evaluate(self.validation_set)
        elif last and self.validation_set is None and self.record is not None:
            self.record.keep_weights(self.train_step.detector)
        if state.drawn < state.step and (last or self._is_at(self.settings.vis_period)):
            state.drawn = state.step
            if self.record is not None:
                self.record.draw(state.step, self.train_step.detector, self._batch, self.validation_set)

    def _is_at(self, period: int) -> bool:
        return self.state.step > 0 and self.state.step % (period or self.order.steps_per_epoch) == 0

    def _evaluate(self, validation_set: PictureSet) -> None:
        began = time.monotonic()
        settings, group, state = self.settings, self.group, self.state
        self._report_stage("evaluating", math.ceil(len(validation_set) / settings.batch_size), 0)
        try:
            evaluation = evaluate(
                self.train_step.detector,
                validation_set,
                group,
                settings.batch_size,
                settings.n_workers,
                settings.seed,
                self._evaluated,
            )
        except Interrupted:
            self._leave()
        mask_ap = group.from_first(evaluation.mask_ap if group.first else None)
        best = not state.best_ap or (mask_ap is not None and mask_ap > state.best_ap)
        if best:
            state.best_ap, state.best_step = mask_ap, state.step
        state.stale = 0 if best else state.stale + 1  # while AP is 0, patience is not used up
        state.evaluated = state.step
        if self.record is not None:
            self.record.keep(state, evaluation, self.train_step.detector, time.monotonic() - began)
        self._since = time.perf_counter()

    def _evaluated(self, done: int, total: int) -> bool:
        if self.progress is not None:
            self.progress.update(done)
        return self._stop.asked

    def _save(self) -> None:
        """Write a checkpoint, unless this very state was written already."""
        if self._saved == (self.state.step, self.state.evaluated):
            return
        self._saved = (self.state.step, self.state.evaluated)
        if self.group.first and self.record is not None:
            path = self.record.folder.last
            save_checkpoint(path, self.train_step, self.state, self.settings, self.order.steps_per_epoch)
        self._saved_at = time.monotonic()

    def _leave(self) -> None:
        self._save()
        raise StopRequested

    def _report_stage(self, name: str, total: int, done: int) -> None:
        if name != self._stage and self.progress is not None:
            self.progress.stage(name, total, STEP_LIMIT_S, done)
        self._stage = name

    def _add_point(self) -> None:
        """Add a point to the curves: means over the steps since the last one."""
        means = {name: value / self._summed for name, value in self._sums.items()}
        norm = means.pop("norm")
        seconds = time.perf_counter() - self._since
        phases = self.train_step.phases
        values = {
            "lr": self.train_step.optimiser.param_groups[0]["lr"],
            "images_per_s": phases.pictures * self.group.size / seconds,
            "waiting_for_data": phases.data / seconds,
            "gradient_norm": norm,
            "memory_gb": self._memory_bytes() / 1e9,
        }
        if self.record is not None:
            self.record.add_point(self.state.step, means, values)
        self._sums.clear()
        self._summed = 0
        self.train_step.phases, self._since = Phases(), time.perf_counter()

    def _memory_bytes(self) -> int:
        device = self.group.device
        if device.type == "cuda":
            return torch.cuda.max_memory_allocated(device)
        return psutil.Process().memory_info().rss
