"""Slots: the GPUs that jobs may use."""

import os
import time
from dataclasses import dataclass, field

from backend.project.settings import Settings

ASK_EVERY_S = 30.0
VISIBLE_VARIABLE = "LEKTRACK_VISIBLE_GPUS"


class GpuError(RuntimeError):
    """NVML is installed but does not answer, so the GPUs are not known."""


def visible_gpus() -> str | None:
    """Return the GPUs that this process was confined to; None if it was not.

    Jobs get physical ids. `CUDA_VISIBLE_DEVICES` would number them anew, so it is handed on under another name.
    """
    return os.environ.get(VISIBLE_VARIABLE, os.environ.get("CUDA_VISIBLE_DEVICES"))


@dataclass
class GpuList:
    """The GPUs of this machine that jobs may use. Asked for rarely: NVML can take a second to start."""

    _asked: float = field(default=float("-inf"))
    _known: tuple[int, ...] = ()

    def ids(self, settings: Settings) -> tuple[int, ...]:
        """Return NVML's indices (PCI bus order) that the settings allow, lowest first.

        Raises
        ------
        GpuError
            With NVML's words, if there is a driver that fails.
        """
        if time.monotonic() - self._asked > ASK_EVERY_S:
            self._known = _gpus()
            self._asked = time.monotonic()
        return tuple(id for id in self._known if settings.gpus is None or id in settings.gpus)


def _gpus() -> tuple[int, ...]:
    try:
        import pynvml
    except ImportError:
        return ()
    absent = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value in absent:
            return ()
        raise GpuError(str(error)) from error
    try:
        handles = [(id, pynvml.nvmlDeviceGetHandleByIndex(id)) for id in range(pynvml.nvmlDeviceGetCount())]
        names = {id: (str(id), str(pynvml.nvmlDeviceGetUUID(handle))) for id, handle in handles}
    except pynvml.NVMLError as error:
        raise GpuError(str(error)) from error
    finally:
        pynvml.nvmlShutdown()
    return _visible(names)


def _visible(names: dict[int, tuple[str, str]]) -> tuple[int, ...]:
    """Keep what ``CUDA_VISIBLE_DEVICES`` left us when the app started, as a cluster or container sets it."""
    allowed = visible_gpus()
    if allowed is None:
        return tuple(names)
    wanted = [part.strip() for part in allowed.split(",") if part.strip()]
    return tuple(id for id, (index, uuid) in names.items() if any(w == index or uuid.startswith(w) for w in wanted))
