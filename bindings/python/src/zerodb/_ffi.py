"""Finding the library, and its functions; `_abi` has the constants and structures.

All use of ctypes is in these two modules. A call lets other Python threads run until it
returns, except those of `keeping`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import (
    POINTER,
    addressof,
    byref,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_size_t,
    c_ssize_t,
    c_uint32,
    c_uint64,
    c_void_p,
    sizeof,
)

from zerodb import _hints as t
from zerodb._abi import (
    ABI_MAJOR,
    NO_PAGE,
    CompactOptions,
    CompactResult,
    CopyOptions,
    CopyResult,
    DbListFunction,
    DbStat,
    EnvOptions,
    Info,
    InputVal,
    Limits,
    MetricFunction,
    ReaderFunction,
    Report,
    SplitFunction,
    TxnFunction,
    Val,
    VerifyOptions,
)

is_cpython = sys.implementation.name == "cpython"

# -------------------------------------------------------------------- library


def _refuse_sub_interpreter() -> None:
    """The library calls Python from threads of its own, which only the main interpreter can
    have."""
    if sys.implementation.name != "cpython":
        return
    current: t.Any = ctypes.pythonapi["PyInterpreterState_Get"]
    current.restype = c_void_p
    number: t.Any = ctypes.pythonapi["PyInterpreterState_GetID"]
    number.argtypes = [c_void_p]
    number.restype = ctypes.c_int64
    if number(current()) != 0:
        raise ImportError("zerodb cannot be used in a sub-interpreter")


_refuse_sub_interpreter()

_LIBRARY_VARIABLE = "ZERODB_LIBRARY"
_BUNDLED_LIBRARY = os.path.join(os.path.dirname(__file__), "libzerodb.so")
_SYSTEM_LIBRARY = "libzerodb.so.1"


def _load_library() -> tuple[ctypes.CDLL, str]:
    """The library and where it was found: ZERODB_LIBRARY, this package, or the system.

    A library that the user names is the only one tried: falling back to another would hide
    that it cannot be loaded.
    """
    candidates: list[tuple[str, str]] = []
    named = os.environ.get(_LIBRARY_VARIABLE)
    if named:
        candidates.append((named, f"named by {_LIBRARY_VARIABLE}"))
    else:
        if os.path.exists(_BUNDLED_LIBRARY):
            candidates.append((_BUNDLED_LIBRARY, "bundled with this package"))
        candidates.append((_SYSTEM_LIBRARY, "the system's"))
    failures: list[str] = []
    for name, origin in candidates:
        try:
            return ctypes.CDLL(name), name
        except OSError as error:
            failures.append(f"{name} ({origin}): {error}")
    bundled = (
        ""
        if named or os.path.exists(_BUNDLED_LIBRARY)
        else f"; this package carries none ({_BUNDLED_LIBRARY} does not exist)"
    )
    raise ImportError(
        "zerodb cannot load the ZeroDB library. Tried "
        + "; ".join(failures)
        + bundled
        + ". Install a zerodb wheel for this platform, or install the library where the "
        f"system's loader finds it, or set {_LIBRARY_VARIABLE} to the path of {_SYSTEM_LIBRARY}"
    )


library_path: str
_library, library_path = _load_library()


# PyPy has no such thing.
_keeping_library: t.Any = getattr(ctypes, "PyDLL", ctypes.CDLL)(library_path)
"""The same library; calls through this keep the lock of the interpreter."""


def _symbol(library: ctypes.CDLL, name: str) -> t.Any:
    """A function of the library, which nothing else shares."""
    try:
        return library[name]
    except AttributeError:
        raise ImportError(
            f"{library_path} is no ZeroDB library that this package can use: it has no "
            f"{name}(); install one of version {ABI_MAJOR}"
        ) from None


def _function(
    name: str, result: t.Any, *arguments: t.Any, keeps: bool = False
) -> t.Callable[..., t.Any]:
    """A function of the library, with its C types declared.

    :param keeps: other Python threads do not run during the call.
    """
    function = _symbol(_keeping_library if keeps else _library, name)
    function.restype = result
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]


_zdb_version = _function(
    "zdb_version", c_char_p, POINTER(c_int), POINTER(c_int), POINTER(c_int)
)


def _library_version() -> str:
    """The version of the library; ImportError if it has another ABI than this module."""
    major = c_int()
    text: str = _zdb_version(byref(major), None, None).decode("ascii", "replace")
    if major.value != ABI_MAJOR:
        raise ImportError(
            f"{library_path} is ZeroDB {text}, and this package needs version {ABI_MAJOR}.x; "
            f"install that, or set {_LIBRARY_VARIABLE} to the path of one"
        )
    return text


library_version: str = _library_version()

# Handles and zdb_val pointers are declared void *: the former are ints here, and the latter
# may point to a Val or an InputVal.
_handle = c_void_p
_handle_out = POINTER(c_void_p)
_val = c_void_p

strerror = _function("zdb_strerror", c_char_p, c_int)
last_error = _function("zdb_last_error_marked", c_char_p)
last_error_code = _function("zdb_last_error_code", c_int)
last_error_page = _function("zdb_last_error_page", c_uint64)

_env_options_init_size = _function(
    "zdb_env_options_init_size", c_int, POINTER(EnvOptions), c_size_t
)
env_open = _function("zdb_env_open", c_int, c_char_p, POINTER(EnvOptions), _handle_out)
env_close = _function("zdb_env_close", c_int, _handle)
env_close_wait = _function("zdb_env_close_wait", c_int, _handle, c_uint32, c_uint32)
env_sync = _function("zdb_env_sync", c_int, _handle)
env_checkpoint = _function("zdb_env_checkpoint", c_int, _handle)
env_compact = _function(
    "zdb_env_compact", c_int, _handle, POINTER(CompactOptions), POINTER(CompactResult)
)
env_info = _function("zdb_env_info", c_int, _handle, POINTER(Info))
env_max_key_size = _function("zdb_env_max_key_size", c_size_t, _handle)
env_verify = _function(
    "zdb_env_verify", c_int, _handle, POINTER(VerifyOptions), POINTER(Report)
)
env_copy = _function(
    "zdb_env_copy", c_int, _handle, c_char_p, POINTER(CopyOptions), POINTER(CopyResult)
)
env_copy_fd = _function(
    "zdb_env_copy_fd", c_int, _handle, c_int, POINTER(CopyOptions), POINTER(CopyResult)
)
reader_list = _function("zdb_reader_list", c_int, _handle, ReaderFunction, c_void_p)
env_limits = _function("zdb_env_limits", c_int, _handle, POINTER(Limits))
env_metrics = _function("zdb_env_metrics", c_int, _handle, MetricFunction, c_void_p)
env_metric = _function("zdb_env_metric", c_int, _handle, c_char_p, POINTER(c_double))
reader_check = _function("zdb_reader_check", c_int, _handle, POINTER(c_uint32))

txn_begin = _function("zdb_txn_begin", c_int, _handle, _handle, c_uint32, _handle_out)
txn_list = _function("zdb_txn_list", c_int, _handle, TxnFunction, c_void_p)
txn_commit = _function("zdb_txn_commit", c_int, _handle)
txn_abort = _function("zdb_txn_abort", c_int, _handle)
txn_reset = _function("zdb_txn_reset", c_int, _handle)
txn_renew = _function("zdb_txn_renew", c_int, _handle)
txn_id = _function("zdb_txn_id", c_uint64, _handle)

db_open = _function("zdb_db_open", c_int, _handle, c_char_p, c_uint32, POINTER(c_uint32))
db_flags = _function("zdb_db_flags", c_int, _handle, c_uint32, POINTER(c_uint32))
db_clear = _function("zdb_db_clear", c_int, _handle, c_uint32)
db_drop = _function("zdb_db_drop", c_int, _handle, c_uint32)
db_rename = _function("zdb_db_rename", c_int, _handle, c_uint32, c_char_p, POINTER(c_uint32))
db_list = _function("zdb_db_list", c_int, _handle, DbListFunction, c_void_p)
stat = _function("zdb_stat", c_int, _handle, c_uint32, POINTER(DbStat))

compare_keys = _function("zdb_cmp", c_int, _handle, c_uint32, _val, _val, POINTER(c_int))
compare_values = _function("zdb_dcmp", c_int, _handle, c_uint32, _val, _val, POINTER(c_int))
delete_range = _function(
    "zdb_del_range", c_int, _handle, c_uint32, _val, _val, POINTER(c_uint64)
)
count_range = _function(
    "zdb_count_range", c_int, _handle, c_uint32, _val, _val, POINTER(c_uint64)
)
rank = _function("zdb_rank", c_int, _handle, c_uint32, _val, POINTER(c_uint64))
split_range = _function(
    "zdb_split_range", c_int, _handle, c_uint32, _val, _val, c_uint32, SplitFunction, c_void_p
)
cursor_rank = _function("zdb_cursor_rank", c_int, _handle, POINTER(c_uint64))
cursor_set_rank = _function("zdb_cursor_set_rank", c_int, _handle, c_uint64, _val, _val)


def _quick(name: str) -> t.Callable[..., t.Any]:
    """A function of the library for the calls that are made most often, which keep the lock of
    the interpreter. Its C types are not declared, as converting arguments takes most of such a
    call: pointers must be c_void_p, references or bytes, and numbers below 2**31. A size_t that
    does not go in a register, as the seventh argument, must be a c_size_t."""
    function = _symbol(_keeping_library, name)
    function.restype = c_int
    return function  # type: ignore[no-any-return]


quick_size_max = 2**31 - 1
"""The largest number to pass to these."""
scratch_size = 4096
"""Bytes of a value that `quick_get` can return."""
quick_get = _quick("zdb_get_bytes")
quick_get_val = _quick("zdb_get")
quick_put = _quick("zdb_put_bytes")
quick_begin = _quick("zdb_txn_begin")
quick_abort = _quick("zdb_txn_abort")
cursor_read = _quick("zdb_cursor_read")
cursor_read_from = _quick("zdb_cursor_read_from")
get_packed = _quick("zdb_get_packed")
get_fixed = _quick("zdb_get_fixed")
put_packed = _quick("zdb_put_packed")
txn_begin_wait = _function(
    "zdb_txn_begin_wait", c_int, _handle, c_uint32, c_uint32, _handle_out
)


process_number = [0]
"""Another number in each process that was forked."""


def _count_process() -> None:
    process_number[0] += 1


os.register_at_fork(after_in_child=_count_process)


class Handle:
    """A place for a handle that the library returns."""

    __slots__ = ("_place", "reference")

    def __init__(self) -> None:
        self._place: t.Any = c_void_p()
        self.reference: t.Any = byref(self._place)

    @property
    def value(self) -> t.Any:
        """What the library has put there; None if nothing."""
        return self._place.value

    def free(self) -> None:
        """Makes the place free for another call."""
        self._place.value = None
        handles.append(self)


handles: list[Handle] = []
"""Those that no call uses. Taking one and giving it back is safe in all threads."""


class Scratch:
    """Memory for a value and its size."""

    __slots__ = ("bytes", "bytes_pointer", "size", "size_pointer")

    def __init__(self) -> None:
        self.bytes: t.Any = ctypes.create_string_buffer(scratch_size)
        self.bytes_pointer: t.Any = byref(self.bytes)
        self.size: t.Any = c_size_t()
        self.size_pointer = byref(self.size)


scratches: list[Scratch] = []
"""Those that no call uses."""


class Entry:
    """A key and a value for the library to read or to fill."""

    __slots__ = (
        "key",
        "key_input",
        "key_reference",
        "value",
        "value_input",
        "value_place",
        "value_reference",
    )

    def __init__(self) -> None:
        self.key = Val()
        self.key_input = input_view(self.key)
        self.key_reference: t.Any = byref(self.key)
        self.value = Val()
        self.value_input = input_view(self.value)
        self.value_reference: t.Any = byref(self.value)
        # Address and size of the value, in less time than the fields take one by one.
        self.value_place: t.Any = (
            memoryview(self.value).cast("B").cast("P").tolist
            if is_cpython
            else lambda: (self.value.data, self.value.size)
        )


entries: list[Entry] = []
"""Those that nothing uses."""


class Packed:
    """Memory for a packed list, which `marshal` reads."""

    __slots__ = (
        "_held",
        "bytes",
        "count",
        "count_reference",
        "pointer",
        "size",
        "size_argument",
        "used",
        "used_reference",
    )

    def __init__(self, size: int) -> None:
        self.size = size
        self.size_argument = c_size_t(size)
        self.bytes = bytearray(size)
        self._held: t.Any = (c_char * size).from_buffer(self.bytes)
        self.pointer: t.Any = byref(self._held)
        self.count: t.Any = c_size_t()
        self.count_reference = byref(self.count)
        self.used: t.Any = c_size_t()
        self.used_reference = byref(self.used)


known_sizes: dict[int, t.Any] = {}
"""What `size_argument` returns, as far as it has been asked."""


def size_argument(size: int) -> t.Any:
    """A size as the quick functions take it where it does not go in a register."""
    argument = known_sizes.get(size)
    if argument is None:
        if len(known_sizes) >= 4096:
            known_sizes.clear()
        argument = known_sizes[size] = c_size_t(size)
    return argument


pointer_to: t.Callable[[int], t.Any] = c_void_p
"""A handle as the quick functions take it."""
new_pointer: t.Callable[[], t.Any] = c_void_p
"""A place for a handle that such a function returns, and that others then take."""


class Calls:
    """The functions that do not wait for anything but the pages that they read."""

    def __init__(self, keeps: bool) -> None:
        def function(name: str, *arguments: t.Any) -> t.Callable[..., t.Any]:
            return _function(name, c_int, *arguments, keeps=keeps)

        self.txn_begin = function("zdb_txn_begin", _handle, _handle, c_uint32, _handle_out)
        self.txn_abort = function("zdb_txn_abort", _handle)
        self.get = function("zdb_get", _handle, c_uint32, _val, _val)
        self.get_many = function(
            "zdb_get_many", _handle, c_uint32, _val, _val, c_size_t, c_void_p
        )
        self.put = function("zdb_put", _handle, c_uint32, _val, _val, c_uint32)
        self.delete = function("zdb_del", _handle, c_uint32, _val, _val)
        self.cursor_open = function("zdb_cursor_open", _handle, c_uint32, _handle_out)
        self.cursor_close = function("zdb_cursor_close", _handle)
        self.cursor_get = function("zdb_cursor_get", _handle, _val, _val, c_int)
        self.cursor_put = function("zdb_cursor_put", _handle, _val, _val, c_uint32)
        self.cursor_delete = function("zdb_cursor_del", _handle, c_uint32)
        self.cursor_count = function("zdb_cursor_count", _handle, POINTER(c_uint64))


keeping = Calls(keeps=True)
"""They keep the lock of the interpreter, which to give up costs more than they do."""
releasing = Calls(keeps=False)
"""For environments whose events call Python: a thread of the library may wait for the lock of
the interpreter while it has one that these functions wait for."""

# -------------------------------------------------------------------- helpers


def last_failure(code: int) -> tuple[str, int | None]:
    """The message, with names marked, and the page of the call on this thread that has just
    returned `code`."""
    if last_error_code() != code:
        # Not the last to fail here: a finalizer or a signal handler came between.
        return _text(strerror(code)), None
    page: int = last_error_page()
    return _text(last_error()) or _text(strerror(code)), None if page == NO_PAGE else page


def _text(message: bytes) -> str:
    return message.decode("utf-8", "replace")


def new_handle() -> t.Any:
    """A place for a handle that the library returns; its value is None until then."""
    return c_void_p()


def new_database_handle() -> t.Any:
    """A place for a zdb_db that the library returns."""
    return c_uint32()


def new_number() -> t.Any:
    """A double for the library to fill."""
    return c_double()


def new_count() -> t.Any:
    """A place for a number of 32 bits that the library returns."""
    return c_uint32()


def new_long_count() -> t.Any:
    """A place for a number of 64 bits that the library returns."""
    return c_uint64()


def new_order() -> t.Any:
    """A place for the result of a comparison."""
    return c_int()


def env_options_init(options: EnvOptions) -> int:
    """Fills in the defaults, as the function of this name in zerodb.h does."""
    code: int = _env_options_init_size(byref(options), sizeof(EnvOptions))
    return code


def sized(structure: t.Any) -> t.Any:
    """A structure of this type with its struct_size set."""
    value = structure()
    value.struct_size = sizeof(structure)
    return value


def val_bytes(val: Val) -> bytes | None:
    """A copy of the bytes that `val` describes; None if it has no address."""
    return None if val.data is None else copy_bytes(val.data, val.size)


def input_view(val: Val) -> InputVal:
    """The same memory as `val`, to describe keys and values that are passed in."""
    return InputVal.from_buffer(val)


reference = byref
"""The argument to pass where the library takes a pointer to a structure."""


def referenced(pointer: t.Any) -> t.Any:
    """What `reference` was given."""
    return pointer._obj


class _Memory(c_char * sys.maxsize):  # type: ignore[misc]  # mypy takes no such base
    """All memory, as a buffer."""

    __slots__ = ("keeper",)


def memory_view(keeper: object) -> memoryview:
    """A memoryview of all memory from address 0, read-only. It and its slices keep an object
    alive."""
    memory: t.Any = _Memory.from_address(0)
    memory.keeper = keeper
    return memoryview(memory).cast("B").toreadonly()


def _copy_function() -> t.Callable[[int, int], bytes]:
    if not is_cpython:
        return ctypes.string_at
    # That of CPython takes no size of 2 GiB.
    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p, c_ssize_t)
    return prototype(("PyBytes_FromStringAndSize", ctypes.pythonapi))


copy_bytes: t.Callable[[int, int], bytes] = _copy_function()
"""The bytes at an address."""


def point_at(val: t.Any, data: t.Buffer, role: str) -> object:
    """Makes `val` describe the bytes of `data`, without a copy where Python lets us.

    Returns an object that the caller must hold until the library has returned. `role` names the
    argument in errors.
    """
    if isinstance(data, bytes):
        val.data = data
        val.size = len(data)
        return data
    view = _contiguous_view(data, role)
    if view.nbytes == 0:
        val.data = None
        val.size = 0
        return None
    if view.readonly:
        # ctypes takes no address of read-only memory other than bytes.
        whole = view.obj
        if not isinstance(whole, bytes) or len(whole) != view.nbytes:
            whole = bytes(view)
        val.data = whole
        val.size = len(whole)
        return whole
    first_byte = c_char.from_buffer(view)
    if is_cpython:
        val.data = addressof(first_byte)
    else:
        # There, a c_char_p takes no address.
        Val.from_buffer(val).data = addressof(first_byte)
    val.size = view.nbytes
    return first_byte


def size_of(data: t.Buffer, role: str) -> int:
    """How many bytes there are in `data`."""
    return len(data) if isinstance(data, bytes) else _contiguous_view(data, role).nbytes


def to_bytes(data: t.Buffer, role: str) -> bytes:
    """The bytes of `data`, which never change."""
    return data if isinstance(data, bytes) else bytes(_contiguous_view(data, role))


def input_val(data: t.Buffer, role: str) -> tuple[t.Any, object]:
    """A zdb_val for `data`, and an object to hold until the library has returned."""
    val = InputVal()
    return val, point_at(val, data, role)


def _contiguous_view(data: t.Buffer, role: str) -> memoryview:
    if isinstance(data, str):
        raise TypeError(
            f"{role} must be bytes-like, not str; encode it, for example with .encode()"
        )
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"{role} must be bytes-like, not {type(data).__name__}") from None
    if not view.c_contiguous:
        raise TypeError(f"{role} must be contiguous; pass a copy, as with bytes()")
    return view


def addresses(names: list[str]) -> dict[str, int]:
    """The addresses of functions of the library."""
    found: dict[str, int] = {}
    for name in names:
        address = ctypes.cast(_symbol(_library, name), c_void_p).value
        assert address is not None
        found[name] = address
    return found
