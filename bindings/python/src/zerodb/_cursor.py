"""Cursors."""

from __future__ import annotations

from collections.abc import Iterator

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._arguments import unsigned
from zerodb._core import CursorCore
from zerodb._errors import check

TYPE_CHECKING = False


class Cursor(CursorCore):
    """A position in one database of one transaction, from :meth:`Transaction.cursor`.

    The methods that move it return the entry it is then on, or None where there is none. In a
    write transaction it stays on its key through other writes. It ends with its transaction.

    Iterating over it gives the entries from the one it is on, or from the first if it is on
    none, to the last. Meanwhile it moves with the iteration.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        transaction: t.Transaction

    # ------------------------------------------------------------------ moving

    def seek(self, key: t.Buffer) -> t.Item | None:
        """Moves to the first entry whose key is at or after `key`; as :meth:`set_range`."""
        item: t.Item | None = self.set_range(key)
        return item

    def seek_exact(self, key: t.Buffer) -> t.Item | None:
        """Moves to the entry with exactly this key; as :meth:`set_key`."""
        item: t.Item | None = self.set_key(key)
        return item

    def seek_rank(self, rank: int) -> t.Item | None:
        """Moves to the entry before which there are `rank` others.

        :raises IncompatibleError: the database was made without ``counted``.
        """
        key, value = _abi.Val(), _abi.Val()
        code = self._call(
            _ffi.cursor_set_rank,
            unsigned("rank", rank, 64),
            _ffi.reference(key),
            _ffi.reference(value),
        )
        if code == _abi.NOT_FOUND:
            return None
        check(code)
        item: t.Item = self.item()
        return item

    def rank(self) -> int:
        """How many entries come before the one that the cursor is on.

        :raises IncompatibleError: the database was made without ``counted``.
        """
        number = _ffi.new_long_count()
        check(self._call(_ffi.cursor_rank, _ffi.reference(number)))
        rank: int = number.value
        return rank

    def iter_reverse(self) -> Iterator[t.Item]:
        """The entries from the one the cursor is on, or from the last, back to the first."""
        return self.iterprev()

    # ----------------------------------------------------------------- lifetime

    def __reduce__(self) -> t.Any:
        raise TypeError("a cursor cannot be copied or pickled; open another one")
