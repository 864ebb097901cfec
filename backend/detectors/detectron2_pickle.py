"""Reading the arrays of a Detectron2 model-zoo pickle (.pkl) without running anything that the file asks for.

A pickle may name any function and have it called. Here only the few names that NumPy's arrays consist of are known, and
each stands for a function of this file; any other name ends the reading.
"""

import io
import pickle  # noqa: S403 - names outside of STAND_INS are refused
from pathlib import Path
from typing import Any

import numpy as np

from backend.project.errors import InputError

MAX_BYTES = 4 * 1024**3
DTYPE_KINDS = "fiub"  # floats, integers and truth values: nothing with objects in it


def read_zoo_file(path: Path) -> dict[str, Any]:
    """Return the dictionary a ``.pkl`` of Detectron's or Detectron2's model zoo holds, weights as NumPy arrays.

    Raises
    ------
    InputError
        If the file is not such a dictionary, is damaged, or wants anything called that is not part of an array.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(f"{size} bytes are more than any model has")
        content = ArrayUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        if isinstance(content, dict):
            return _with_arrays(content)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError(f"{path} is no file of a model zoo: {error}") from error
    raise InputError(f"{path} holds no dictionary of weights but a {type(content).__name__}")


class ArrayUnpickler(pickle._Unpickler):
    """Builds plain values and arrays, refuses the rest.

    It is the unpickler written in Python: the one in C reserves 64 GB of memory where five bytes of a file say so.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for the function or class that the file names."""
        known = STAND_INS.get((module.replace("numpy.core", "numpy._core").replace("__builtin__", "builtins"), name))
        if known is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not part of an array")
        return known

    def load_build(self) -> None:
        """Set the state of an array or number format, of nothing else."""
        if not isinstance(self.stack[-2], _Array | _Dtype):
            raise pickle.UnpicklingError("it wants an object filled that is no array")
        super().load_build()

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


class _Dtype:
    """Stands for ``numpy.dtype``."""

    def __init__(self, name: str, *_: Any):
        self.dtype = np.dtype(str(name))
        if self.dtype.kind not in DTYPE_KINDS:
            raise ValueError(f"an array of {name!r} is not allowed")

    def __setstate__(self, state: tuple) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands for an array while its content has not come yet."""

    value: np.ndarray | None = None

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran_order, content = state
        self.value = _from_buffer(content, dtype, shape, "F" if fortran_order else "C")


def _from_buffer(content: bytes | str, dtype: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    content = content.encode("latin-1") if isinstance(content, str) else content  # Python 2 wrote text
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order).copy()


def _scalar(dtype: _Dtype, content: bytes | str) -> np.generic:
    return _from_buffer(content, dtype, (), "C")[()]


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"bytes in the encoding {encoding!r} are not allowed")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


STAND_INS = {
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever an argument: nothing that could be called
    ("numpy", "dtype"): _Dtype,
    ("collections", "OrderedDict"): dict,
    ("_codecs", "encode"): _encode,  # bytes as protocols 0 to 2 write them
    ("builtins", "bytes"): _no_bytes,
}


def _with_arrays(value: Any) -> Any:
    """Return ``value`` with the arrays in place of what stood for them."""
    if isinstance(value, dict):
        return {key: _with_arrays(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_arrays(inner) for inner in value]
    return value.value if isinstance(value, _Array) else value
