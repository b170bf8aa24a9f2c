"""Values that are read, as bytes or as memoryviews."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref

from zerodb import _ffi
from zerodb import _hints as t
from zerodb._pure.state import Keeper, TransactionState

# Looked up for each value.
_reference = weakref.ref
_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()

COPIED_MAX = 2048
"""Bytes of a value that copying takes no longer than making a view of its page."""
_copied_max = COPIED_MAX if _ffi.is_cpython else sys.maxsize


def view_of(state: TransactionState, data: int | None, size: int) -> memoryview:
    """A memoryview of a value, read-only.

    In a write transaction, whose pages change, and of a short value it is one of a copy. So is
    each in PyPy, where what is made of a view does not keep alive what that is of. When
    the transaction ends, the view is released. What has been made of it and cannot be released,
    such as an array, keeps the snapshot.
    """
    if data is None or size == 0:
        return memoryview(b"")
    if state.write or size <= _copied_max:
        view = memoryview(_ffi.copy_bytes(data, size))
    else:
        memory = state.memory
        if memory is None:
            memory = _memory_of(state)
        end = data + size
        keeper: t.Any = state.keeper
        if data < keeper.lowest:
            keeper.lowest = data
        if end > keeper.end:
            keeper.end = end
        view = memory[data:end]
    views = state.views
    # As add_view() does, without calling it most times.
    if views and len(views) & (len(views) + 1):
        views.append(_reference(view))
    else:
        add_view(state, view)
    return view


def _memory_of(state: TransactionState) -> memoryview:
    """All memory, from address 0, of which views of pages are slices: that is one object for
    each, and all of them keep the transaction's pages."""
    if state.keeper is None:
        state.keeper = Keeper(state.calls.txn_abort)
        _keepers.add(state.keeper)
    state.memory = memory = _ffi.memory_view(state.keeper)
    return memory


def add_view(state: TransactionState, view: memoryview) -> None:
    """Has a view released when the transaction ends."""
    if not state.views:
        state.views = []
    views = state.views
    views.append(weakref.ref(view))
    # Those that are gone are dropped each time that their number may have doubled.
    if len(views) & (len(views) - 1) == 0 and len(views) >= 64:
        views[:] = [reference for reference in views if reference() is not None]


def read_value(state: TransactionState, value: t.Any, buffers: bool) -> t.Any:
    """What the library has returned as a key or a value."""
    if buffers:
        return view_of(state, value.data, value.size)
    return _ffi.copy_bytes(value.data, value.size)


_MAP_FIXED_NOREPLACE = 0x100000
_MAP_NORESERVE = 0x4000
_CALLS_MAX = 10000


def _fill_holes(start: int, end: int, calls: list[int]) -> None:
    """Maps zeros where nothing is mapped.

    :param calls: how many there may be.
    """
    calls[0] -= 1
    if calls[0] < 0:
        return
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE | _MAP_FIXED_NOREPLACE
    mapped = _map(start, end - start, mmap.PROT_READ, flags, -1, 0)
    if mapped == start:
        return
    if mapped != ctypes.c_void_p(-1).value:
        _unmap(mapped, end - start)  # an old kernel takes the address as a hint
    if end - start > mmap.PAGESIZE:
        middle = start + (end - start) // mmap.PAGESIZE // 2 * mmap.PAGESIZE
        _fill_holes(start, middle, calls)
        _fill_holes(middle, end, calls)


def _replace_inherited_pages() -> None:
    """In a child, which has no pages of its parent: puts zeros where memoryviews look."""
    for keeper in list(_keepers):
        if keeper.end:
            start = keeper.lowest // mmap.PAGESIZE * mmap.PAGESIZE
            end = -(-keeper.end // mmap.PAGESIZE) * mmap.PAGESIZE
            _fill_holes(start, end, [_CALLS_MAX])


if sys.platform == "linux":
    _libc = ctypes.CDLL(None)
    _map = _libc.mmap
    _map.restype = ctypes.c_void_p
    _map.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_ssize_t,
    ]
    _unmap = _libc.munmap
    _unmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    os.register_at_fork(after_in_child=_replace_inherited_pages)
