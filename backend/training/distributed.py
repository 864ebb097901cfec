"""The processes of one training: their group, how they agree, and how one machine starts several of them.

Started by ``torchrun``, a process reads its rank from the environment; otherwise ``--num-gpus`` of them are started
here. Small things (stop? better? finished?) are agreed over gloo, so that no GPU has to be waited for.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import multiprocessing

from backend.detectors.precision import pick_device
from backend.jobs.script import StopRequested
from backend.project.errors import InputError
from backend.training.settings import TrainSettings

PATIENCE = timedelta(minutes=30)  # the first process computes AP while the others wait
STOP_S = 9.0  # a stop has to be over within ten seconds


@dataclass(frozen=True)
class ProcessGroup:
    """The rank of this process among ``size`` processes."""

    rank: int
    size: int
    device: torch.device
    control: "dist.ProcessGroup | None" = None

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Return whether ``flag`` is set in any process. All must call it."""
        if self.size == 1:
            return flag
        value = torch.tensor(int(flag))
        dist.all_reduce(value, dist.ReduceOp.MAX, group=self.control)
        return bool(value)

    def gather(self, value: Any) -> list[Any]:
        """Return every process's ``value``, by rank. All must call it."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.control)
        return values

    def from_first(self, value: Any) -> Any:
        """Return the first process's ``value``. All must call it."""
        if self.size == 1:
            return value
        holder = [value]
        dist.broadcast_object_list(holder, src=0, group=self.control)
        return holder[0]


def devices(gpu_id: tuple[str, ...], n: int = 1) -> list[torch.device]:
    """Return the devices that ``gpu_id`` names, or ``n`` GPUs, or the CPU ``n`` times where there is none.

    Raises
    ------
    InputError
        If a GPU that was asked for is not there.
    """
    if gpu_id == ("cpu",) or (not gpu_id and not torch.cuda.is_available()):
        return [torch.device("cpu")] * n
    names = gpu_id or tuple(str(number) for number in range(n))
    return [pick_device(name) for name in names]


def started_by_torchrun() -> bool:
    """Return whether torchrun (or a cluster's launcher like it) gave this process its rank."""
    return {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ)


@contextlib.contextmanager
def joined(
    own: list[torch.device], settings: TrainSettings, local: int = 0, meeting: str = ""
) -> Iterator[ProcessGroup]:
    """Join the other processes, if there are any, and leave them at the end.

    Parameters
    ----------
    own
        The devices of this machine's processes.
    settings
        Says how many machines there are and which one this is.
    local
        This process's number on this machine.
    meeting
        Where processes that were started here meet; see `start_processes`.
    """
    if started_by_torchrun():
        rank, size, local = (int(os.environ[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        meeting = "env://"
    else:
        rank, size = settings.machine_rank * len(own) + local, settings.num_machines * len(own)
    if local >= len(own):
        raise InputError(f"process {local} of this machine has no device: there are {len(own)} (--gpu-id, --num-gpus)")
    device = own[local]
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size == 1:
        yield ProcessGroup(0, 1, device)
        return
    if settings.num_machines == 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # host names of lab machines do not always resolve
    dist.init_process_group(_backend(device), init_method=meeting, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield ProcessGroup(rank, size, device, dist.new_group(backend="gloo", timeout=PATIENCE))
    finally:
        dist.destroy_process_group()


def start_processes(work: Callable[..., None], n: int, meeting_folder: Path, settings: TrainSettings) -> int:
    """Run ``work(local, meeting, settings)`` in ``n`` processes and return the exit code of the whole.

    One that fails ends the others at once: they would wait for it for ever. A stop is handed on to all of them.
    """
    meeting = settings.dist_url
    file = meeting_folder / f".meeting-{os.getpid()}"
    if meeting == "auto":
        file.unlink(missing_ok=True)
        meeting = file.as_uri()
    arguments = (meeting, settings)
    running = multiprocessing.start_processes(work, arguments, n, join=False, start_method="spawn").processes
    try:
        return _wait(running)
    except StopRequested:
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in running:
            process.join(max(0.1, deadline - time.monotonic()))
        raise
    finally:
        for process in running:
            process.kill()
        file.unlink(missing_ok=True)


def _wait(running: list) -> int:
    while True:
        codes = [process.exitcode for process in running]
        failed = next((code for code in codes if code), None)
        if failed is not None or None not in codes:
            return failed or 0
        running[codes.index(None)].join(0.2)


def _backend(device: torch.device) -> str:
    return "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
