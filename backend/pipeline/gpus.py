"""The GPUs of this machine: name, memory, and memory in use."""

from dataclasses import dataclass

from backend.jobs.slots import GpuList
from backend.project.settings import Settings


@dataclass(frozen=True)
class Gpu:
    """One GPU that jobs may use. ``id`` is what ``--gpu-id`` takes."""

    id: int
    name: str
    memory_bytes: int
    used_bytes: int


def list_gpus(settings: Settings) -> list[Gpu]:
    """Return the GPUs that the settings allow; none where there is no driver.

    Raises
    ------
    backend.jobs.slots.GpuError
        If there is a driver that does not answer.
    """
    ids = GpuList().ids(settings)
    if not ids:
        return []
    import pynvml

    pynvml.nvmlInit()
    try:
        gpus = []
        for number in ids:
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            gpus.append(Gpu(number, str(pynvml.nvmlDeviceGetName(handle)), int(memory.total), int(memory.used)))
        return gpus
    finally:
        pynvml.nvmlShutdown()
