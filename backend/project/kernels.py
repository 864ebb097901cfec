"""Compiled functions whose cache knows all the source they are made from.

numba keeps compiled code beside the source and takes it as fresh while the file of the function itself is unchanged.
But a kernel holds constants and functions of its neighbours, too: after an update that changes only those, the old code
would go on running. Here every file of the function's folder counts, and those of rooms whose kernels others call.
"""

import hashlib
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import InTreeCacheLocator, UserWideCacheLocator

from backend.project.settings import REPOSITORY

SHARED_ROOMS = ("backend/masks",)
_deciding = threading.Lock()


class BesideSource(InTreeCacheLocator):
    """Keeps compiled code in ``__pycache__``."""

    def get_source_stamp(self) -> str:
        """Return what changes when the compiled code could."""
        return source_stamp(Path(self._py_file).parent)


class InHome(UserWideCacheLocator):
    """Keeps compiled code in the user's cache, where the source folder cannot be written."""

    def get_source_stamp(self) -> str:
        """Return what changes when the compiled code could."""
        return source_stamp(Path(self._py_file).parent)


def kernel(function: Callable | None = None, **options: Any) -> Any:
    """Compile a function with numba and keep the result; use it as ``@kernel`` or ``@kernel(inline="always")``."""
    if function is None:
        return lambda given: kernel(given, **options)
    with _deciding:
        before = numba.config.CACHE_LOCATOR_CLASSES
        numba.config.CACHE_LOCATOR_CLASSES = f"{__name__}.BesideSource,{__name__}.InHome"
        try:
            return numba.njit(cache=True, **options)(function)
        finally:
            numba.config.CACHE_LOCATOR_CLASSES = before


@cache
def source_stamp(folder: Path) -> str:
    """Return a hash of the Python files in ``folder`` and the shared rooms."""
    digest = hashlib.sha256()
    for room in (folder, *(REPOSITORY / room for room in SHARED_ROOMS)):
        for path in sorted(room.glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
