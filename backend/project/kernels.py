"""Compiled functions whose cache knows every function and constant that they are made from.

numba keeps compiled code beside the source and takes it as fresh while the file of the function itself is unchanged.
But a kernel holds the code of the kernels that it calls, in whichever file they are, and the values of constants. Here
the cache's stamp is a hash of just those: change one of them and everything that calls it is compiled anew, whatever
folder it lies in; change anything else and nothing is.
"""

import enum
import hashlib
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CodeType, ModuleType
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.sigutils import normalize_signature

COMPILED_ELSEWHERE = ("numba", "numpy", "math", "builtins")  # their version is part of numba's own index


def kernel(function: Callable | None = None, **options: Any) -> Any:
    """Compile a function with numba and keep the result; use it as ``@kernel`` or ``@kernel(inline="always")``."""
    if function is None:
        return lambda given: kernel(given, **options)
    dispatcher = numba.njit(**options)(function)
    dispatcher._cache = KernelCache(dispatcher)
    return dispatcher


class KernelCache(FunctionCache):
    """numba's cache of one function, stamped with what its compiled code is made from.

    The stamp is taken when the function is first called: what it calls may stand below it in the file.
    """

    def __init__(self, dispatcher: Dispatcher):
        super().__init__(dispatcher.py_func)
        self._dispatcher = dispatcher
        self._is_stamped = False

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled code of a signature, None if there is none that is fresh."""
        self._stamp()
        return super().load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code of a signature."""
        self._stamp()
        super().save_overload(sig, data)

    def _stamp(self) -> None:
        if not self._is_stamped:
            self._cache_file._source_stamp = kernel_stamp(self._dispatcher)
            self._is_stamped = True

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        """Add the fields of named tuples to numba's key: their order decides what ``argument.field`` means."""
        arguments, _ = normalize_signature(sig)
        return *super()._index_key(sig, codegen), tuple(_fields(argument) for argument in arguments)


def kernel_stamp(dispatcher: Dispatcher) -> str:
    """Return a hash of a kernel's code, of all kernels that it calls, directly or not, and of the constants in them.

    Raises
    ------
    TypeError
        A kernel uses something global whose changes could not be noticed.
    """
    digest = hashlib.sha256()
    for part in _parts(dispatcher, set()):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def _parts(dispatcher: Dispatcher, seen: set[int]) -> Iterator[str]:
    """Yield what a kernel is made from, each kernel once."""
    if id(dispatcher) in seen:
        return
    seen.add(id(dispatcher))
    function = dispatcher.py_func
    yield f"{function.__module__}.{function.__qualname__}"
    yield repr(sorted((name, repr(value)) for name, value in dispatcher.targetoptions.items()))
    names: set[str] = set()
    for code in _codes(function.__code__):
        yield code.co_code.hex()
        yield repr((code.co_varnames, code.co_names, code.co_freevars, code.co_cellvars))
        yield repr([value for value in code.co_consts if not isinstance(value, CodeType)])
        names.update(code.co_names)
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    for value in (*(function.__defaults__ or ()), *cells):
        yield from _of_value(function.__qualname__, value, names, seen)
    for name in sorted(names & function.__globals__.keys()):
        yield name
        yield from _of_value(name, function.__globals__[name], names, seen)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code and that of the functions and comprehensions inside it."""
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _codes(value)


def _of_value(name: str, value: Any, names: set[str], seen: set[int]) -> Iterator[str]:
    """Yield what changes when a global ``value`` does. Of a module only what a kernel's ``names`` can mean counts."""
    if isinstance(value, Dispatcher):
        yield from _parts(value, seen)
    elif isinstance(value, np.ndarray):
        yield repr((value.dtype.descr, value.shape, hashlib.sha256(np.ascontiguousarray(value)).hexdigest()))
    elif isinstance(value, tuple):
        for each in value:
            yield from _of_value(name, each, names, seen)
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic | np.dtype):
        yield repr(value)
    elif isinstance(value, ModuleType):
        if value.__name__.split(".")[0] not in COMPILED_ELSEWHERE:
            for attribute in sorted(names & vars(value).keys()):
                yield from _of_value(f"{name}.{attribute}", vars(value)[attribute], names, seen)
    elif isinstance(value, enum.EnumType) or hasattr(value, "_fields"):
        yield repr(list(value) if isinstance(value, enum.EnumType) else value._fields)
    elif isinstance(value, types.Type):
        yield repr(value)
    elif isinstance(value, BuiltinFunctionType) or _is_compiled_elsewhere(value):
        yield getattr(value, "__qualname__", type(value).__qualname__)
    else:
        raise TypeError(f"a kernel uses {name}, a {type(value).__name__}, whose changes its cache would not notice")


def _is_compiled_elsewhere(value: Any) -> bool:
    return (getattr(value, "__module__", None) or "").split(".")[0] in COMPILED_ELSEWHERE


def _fields(argument: Any) -> tuple[str, ...]:
    """Return the names of the fields of a numba type, and of those in it; none where it is no named tuple."""
    if not isinstance(argument, types.BaseTuple):
        return ()
    inner = tuple(field for each in argument for field in _fields(each))
    return (*getattr(argument, "fields", ()), *inner)
