"""Reading the arrays out of a model zoo's pickle file without executing anything in it.

A pickle is a program for a stack machine that can call any function it names. Here its instructions are walked
through one by one (``pickletools`` only takes them apart): the harmless ones build lists, dictionaries and texts, and
the few calls that make a NumPy array are recognised by name and done by hand. Anything else ends the reading.
"""

import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backend.project.errors import InputError

MOST_BYTES = 4 * 1024**3
KINDS = set("fiub")  # floats, integers and truth values: nothing with objects in it


class _Name(NamedTuple):
    """A function or class that the file names; it is never looked up."""

    module: str
    name: str


class _Array:
    """An array whose content has not come yet."""

    value: np.ndarray | None = None


class _Mark:
    """Where a list on the stack begins."""


MARK = _Mark()
RECONSTRUCT = {_Name(module, "_reconstruct") for module in ("numpy.core.multiarray", "numpy._core.multiarray")}
SCALAR = {_Name(module, "scalar") for module in ("numpy.core.multiarray", "numpy._core.multiarray")}
DTYPE, NDARRAY, ORDERED = _Name("numpy", "dtype"), _Name("numpy", "ndarray"), _Name("collections", "OrderedDict")
ENCODE = _Name("_codecs", "encode")
FROM_BUFFER = {_Name(module, "_frombuffer") for module in ("numpy.core.numeric", "numpy._core.numeric")}
BYTES = {_Name(module, "bytes") for module in ("__builtin__", "builtins")}  # no bytes, as old protocols write them
ALLOWED = RECONSTRUCT | SCALAR | FROM_BUFFER | BYTES | {DTYPE, NDARRAY, ORDERED, ENCODE}


def read_zoo_file(path: Path) -> dict[str, Any]:
    """Return the dictionary a ``.pkl`` of Detectron's or Detectron2's model zoo holds.

    Raises
    ------
    InputError
        If the file is not such a dictionary, is damaged, or wants anything called that is not part of an array.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{path} is larger than any model of the zoo ({size} bytes)")
        found = _Reader().read(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} is no file of a model zoo: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no dictionary of weights but a {type(found).__name__}")
    return _plain(found)


class _Reader:
    """The stack machine: a method a group of instructions, a table from instruction to method."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, data: bytes) -> Any:
        """Walk through a pickle and return what is left on the stack."""
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return self._stack.pop()
            action = ACTIONS.get(opcode.name)
            if action is None:
                raise ValueError(f"instruction {opcode.name} is not allowed")
            action(self, argument)
        raise ValueError("it ends too early")

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def pop_to_mark(self) -> list[Any]:
        """Take everything from the last mark on."""
        place = max(place for place, value in enumerate(self._stack) if value is MARK)
        values = self._stack[place + 1 :]
        del self._stack[place:]
        return values

    def pop(self, count: int) -> list[Any]:
        """Take ``count`` values."""
        if count > len(self._stack):
            raise ValueError("values are missing")
        values = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return values

    def remember(self, key: int | None) -> None:
        """Keep the topmost value for later."""
        self._memo[len(self._memo) if key is None else key] = self._stack[-1]

    def recall(self, key: int) -> None:
        """Put a kept value on the stack."""
        self.push(self._memo[key])

    def extend(self, values: list[Any]) -> None:
        """Append to the list below."""
        self._stack[-1].extend(values)

    def set_all(self, values: list[Any]) -> None:
        """Put keys and values into the dictionary below."""
        self._stack[-1].update(zip(values[::2], values[1::2], strict=True))

    def name(self, module: str, name: str) -> None:
        """Note that the file names a function; only those that belong to arrays."""
        found = _Name(module, name)
        if found not in ALLOWED:
            raise ValueError(f"it names {module}.{name}, which is not part of an array")
        self.push(found)

    def call(self) -> None:
        """Do by hand what one of the allowed functions would do."""
        function, arguments = self.pop(2)
        if function in RECONSTRUCT and arguments[0] == NDARRAY:
            self.push(_Array())
        elif function == DTYPE:
            self.push(_dtype(arguments[0]))
        elif function == ORDERED:
            self.push(dict(*arguments))
        elif function == ENCODE:
            self.push(arguments[0].encode(arguments[1]))
        elif function in BYTES and arguments == ():
            self.push(b"")
        elif function in FROM_BUFFER:
            content, dtype, shape, order = arguments
            self.push(np.frombuffer(content, dtype).reshape(shape, order=order).copy())
        elif function in SCALAR:
            self.push(np.frombuffer(arguments[1], arguments[0])[0])
        else:
            raise ValueError(f"it wants {function} called")

    def build(self) -> None:
        """Give an array its shape and content, or a number format its byte order."""
        target, state = self.pop(2)
        if isinstance(target, _Array):
            _, shape, dtype, fortran, content = state
            if isinstance(content, str):
                content = content.encode("latin-1")  # written by Python 2
            target.value = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C").copy()
        elif isinstance(target, np.dtype):
            target = target.newbyteorder(state[1]) if state[1] in "<>" else target
        else:
            raise ValueError("it wants an object filled that is no array")
        self.push(target)


Action = Callable[[_Reader, Any], Any]


def _dtype(name: str) -> np.dtype:
    found = np.dtype(name)
    if found.kind not in KINDS:
        raise ValueError(f"an array of {name!r} is not allowed")
    return found


def _plain(value: Any) -> Any:
    """Return ``value`` with the arrays in place of what stood for them."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.value if isinstance(value, _Array) else value


def _tuple_of(count: int) -> Action:
    return lambda reader, _: reader.push(tuple(reader.pop(count)))


def _constant(make: Callable[[], Any]) -> Action:
    return lambda reader, _: reader.push(make())


def _global(reader: _Reader, text: str) -> None:
    reader.name(*text.split(" ", 1))


ACTIONS: dict[str, Action] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda reader, argument: None),
    **dict.fromkeys(
        (
            *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
            *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
            *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        ),
        _Reader.push,
    ),
    "MARK": _constant(lambda: MARK),
    "NONE": _constant(lambda: None),
    "NEWTRUE": _constant(lambda: True),
    "NEWFALSE": _constant(lambda: False),
    "EMPTY_DICT": _constant(dict),
    "EMPTY_LIST": _constant(list),
    "EMPTY_TUPLE": _constant(tuple),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": lambda reader, _: reader.push(tuple(reader.pop_to_mark())),
    "LIST": lambda reader, _: reader.push(reader.pop_to_mark()),
    "APPEND": lambda reader, _: reader.extend(reader.pop(1)),
    "APPENDS": lambda reader, _: reader.extend(reader.pop_to_mark()),
    "SETITEM": lambda reader, _: reader.set_all(reader.pop(2)),
    "SETITEMS": lambda reader, _: reader.set_all(reader.pop_to_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Reader.remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Reader.recall),
    "GLOBAL": _global,
    "STACK_GLOBAL": lambda reader, _: reader.name(*reader.pop(2)),
    "REDUCE": lambda reader, _: reader.call(),
    "BUILD": lambda reader, _: reader.build(),
}
