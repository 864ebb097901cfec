"""One training step: forward, backward, clip gradients, update; and the losses for which it is refused."""

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from backend.detectors.interface import Detector
from backend.project.atomic import atomic_json
from backend.project.errors import InputError
from backend.training.data_loading import Batch
from backend.training.distributed import ProcessGroup
from backend.training.model_folder import ModelFolder
from backend.training.optimiser import build_optimiser, learning_rate
from backend.training.seeding import STEP, seed_of
from backend.training.settings import TrainSettings


class NotFiniteError(RuntimeError):
    """A loss or gradient became infinite or not a number. The text names step, values, pictures and a remedy."""


@dataclass
class TrainingState:
    """How far a training is. ``step`` counts finished steps; AP are mask AP, 0 to 1.

    ``evaluated`` and ``drawn`` are the steps after which that was last done; ``stale`` counts evaluations since the
    best one.
    """

    step: int = 0
    best_ap: float | None = None
    best_step: int = 0
    stale: int = 0
    evaluated: int = 0
    drawn: int = 0


@dataclass
class Phases:
    """Seconds spent in the parts of steps, and pictures that went through in them."""

    data: float = 0.0
    forward: float = 0.0
    backward: float = 0.0
    step: float = 0.0
    pictures: int = 0


class TrainStep:
    """Holds the model, the optimiser and the scaler, and takes steps with them.

    ``synchronise`` waits for the GPU at the end of each phase, so that ``phases`` tells them apart, for a benchmark.
    """

    def __init__(
        self, detector: Detector, settings: TrainSettings, group: ProcessGroup, n_steps: int, folder: ModelFolder
    ):
        self.detector = detector
        self.optimiser = build_optimiser(detector.network, settings)
        device = group.device.type
        self.scaler = torch.amp.GradScaler(device, enabled=detector.number_format == "fp16")
        self.phases = Phases()
        self.synchronise = False
        self._settings, self._ranks, self._n_steps, self._folder = settings, group, n_steps, folder
        self._parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        self._model: nn.Module = detector
        if group.size > 1:
            self._model = DistributedDataParallel(detector, [group.device] if device == "cuda" else None)

    def take(self, state: TrainingState, batch: Batch, names: list[str]) -> tuple[dict[str, float], float]:
        """Take one step and count it in ``state``; return the losses by name and the gradient's norm before clipping.

        Parameters
        ----------
        state
            Says which step it is: learning rate and random numbers follow from that.
        batch
            On the device.
        names
            Names of the batch's pictures, for the message.

        Raises
        ------
        NotFiniteError
            Before the weights are changed; `ModelFolder.refused` then says which pictures it was.
        InputError
            If memory is not enough; the text says which setting to change.
        """
        torch.manual_seed(seed_of(STEP, self._settings.seed, state.step, self._ranks.rank))
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self._settings, state.step, self._n_steps)
        try:
            times = [self._now()]
            losses = self._model(batch.pictures, batch.sizes, batch.targets)
            loss_values = self._checked(losses, state, names)
            times.append(self._now())
            self.optimiser.zero_grad(set_to_none=True)
            self.scaler.scale(sum(losses.values())).backward()
            times.append(self._now())
            norm = self._update(state, names)
            times.append(self._now())
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            raise InputError(self._out_of_memory(batch)) from error
        state.step += 1
        self.phases.forward += times[1] - times[0]
        self.phases.backward += times[2] - times[1]
        self.phases.step += times[3] - times[2]
        self.phases.pictures += len(batch.indices)
        return loss_values, norm

    def _checked(self, losses: dict[str, torch.Tensor], state: TrainingState, names: list[str]) -> dict[str, float]:
        values = torch.stack([loss.detach().float() for loss in losses.values()]).tolist()  # one copy from the device
        loss_values = dict(zip(losses, values, strict=True))
        bad = [f"{name} is {value}" for name, value in loss_values.items() if not abs(value) < float("inf")]
        if bad:
            self._refuse(", ".join(bad), loss_values, state, names)
        return loss_values

    def _update(self, state: TrainingState, names: list[str]) -> float:
        self.scaler.unscale_(self.optimiser)
        norm = float(nn.utils.clip_grad_norm_(self._parameters, self._settings.clip_norm))
        if not self.scaler.is_enabled() and not norm < float("inf"):  # the scaler skips such a step, and goes lower
            self._refuse(f"the gradient's norm is {norm}", {}, state, names)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return norm

    def _refuse(self, what: str, losses: dict[str, float], state: TrainingState, names: list[str]) -> None:
        rate = self.optimiser.param_groups[0]["lr"]
        shown = {name: str(value) for name, value in losses.items()}  # JSON knows no NaN
        atomic_json(
            self._folder.refused, {"step": state.step, "what": what, "pictures": names, "losses": shown, "lr": rate}
        )
        kept = "the last checkpoint is sound" if self._folder.last.exists() else "there is no checkpoint yet"
        raise NotFiniteError(
            f"step {state.step}: {what}, with {', '.join(names)} ({self._folder.refused} says more); {kept}; "
            f"lower --lr (it was {self._settings.lr:g}) or look at the masks of these pictures"
        )

    def _out_of_memory(self, batch: Batch) -> str:
        height, width = batch.pictures.shape[2:]
        remedies = [f"--batch-size (it is {self._settings.batch_size})"] if self._settings.batch_size > 1 else []
        remedies.append(f"--image-size (pictures are {width}x{height})")
        if self.detector.number_format == "fp32" and self._ranks.device.type == "cuda":
            remedies.append("--amp (fp32 needs most)")
        remedies.append("--backbone (a smaller one)")
        return f"out of memory on {self._ranks.device}: lower {', or '.join(remedies)}"

    def _now(self) -> float:
        if self.synchronise and self._ranks.device.type == "cuda":
            torch.cuda.synchronize(self._ranks.device)
        return time.perf_counter()


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell torch's ways of saying it: an error of its own on a GPU, a RuntimeError on the CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "not enough memory" in str(error)
