"""Shared memory for decoded batches: anonymous, freed with its last user."""

import math
import mmap
import os
from collections.abc import Sequence

import numpy as np


class SharedBatches:
    """``n_slots`` pieces of shared memory, each large enough for the largest of ``shapes`` in uint8.

    It can be handed to a process that `multiprocessing` spawns. There is no name in ``/dev/shm``: a killed process
    leaves nothing behind.
    """

    def __init__(self, n_slots: int, shapes: Sequence[tuple[int, ...]]):
        self.n_slots = n_slots
        self.slot_bytes = -(-max(math.prod(shape) for shape in shapes) // mmap.PAGESIZE) * mmap.PAGESIZE
        self._descriptor = os.memfd_create("lektrack-frames", os.MFD_CLOEXEC)
        os.ftruncate(self._descriptor, n_slots * self.slot_bytes)
        self._map()

    def __getstate__(self) -> dict:
        from multiprocessing.reduction import DupFd

        return {"n_slots": self.n_slots, "slot_bytes": self.slot_bytes, "descriptor": DupFd(self._descriptor)}

    def __setstate__(self, state: dict) -> None:
        self.n_slots, self.slot_bytes = state["n_slots"], state["slot_bytes"]
        self._descriptor = state["descriptor"].detach()
        self._map()

    def _map(self) -> None:
        self.memory = np.frombuffer(mmap.mmap(self._descriptor, self.n_slots * self.slot_bytes), np.uint8)

    def slot(self, number: int, shape: tuple[int, ...]) -> np.ndarray:
        """Return slot ``number`` as an array of ``shape``, uint8, without copying."""
        begin = number * self.slot_bytes
        return self.memory[begin : begin + math.prod(shape)].reshape(shape)

    def close(self) -> None:
        """Give the descriptor back; the memory goes with its last array."""
        os.close(self._descriptor)
