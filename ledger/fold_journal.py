"""Undo for the fold: a batch that is refused, or that the store lost, leaves no trace in memory.

Every change of the state goes through here. Nothing is recorded unless a savepoint is open.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from ledger.errors import LedgerError

K = TypeVar("K")
V = TypeVar("V")


class Journal:
    """Changes of the state's tables, and how to take them back.

    of: the record that holds a table or list, where it is not the state itself.
    """

    __slots__ = ("_changed", "_open", "_undo")

    def __init__(self) -> None:
        self._changed: list[object] | None = None
        self._undo: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._open = 0

    def savepoint(self) -> int:
        """Start recording; returns the mark to hand to `release` or `rollback`."""
        self._open += 1
        return len(self._undo)

    def release(self, mark: int) -> None:
        """Keep what was done since the mark."""
        self._close(mark)
        if not self._open:
            self._undo.clear()

    def rollback(self, mark: int) -> None:
        """Take back everything done since the mark, newest first."""
        self._close(mark)
        while len(self._undo) > mark:
            undo, args = self._undo.pop()
            undo(*args)

    def _close(self, mark: int) -> None:
        if not self._open or mark > len(self._undo):
            raise LedgerError("this savepoint of the fold is not open")
        self._open -= 1

    def changes(self) -> list[object]:
        """Return what was put, dropped or changed since the last call, also what was undone since.

        The first call starts noting: until somebody asks, nothing is kept.
        """
        found, self._changed = self._changed or [], []
        return found

    def _note(self, record: object) -> None:
        if self._changed is not None:
            self._changed.append(record)

    def put(self, table: dict[K, V], key: K, value: V, of: object = None) -> None:
        """Set a key of a table."""
        self._note(value if of is None else of)
        if self._open:
            if key in table:
                self._undo.append((table.__setitem__, (key, table[key])))
            else:
                self._undo.append((table.pop, (key,)))
        table[key] = value

    def drop(self, table: dict[K, V], key: K, of: object = None) -> None:
        """Remove a key of a table, if it is there."""
        if key in table:
            value = table.pop(key)
            self._note(value if of is None else of)
            if self._open:
                self._undo.append((table.__setitem__, (key, value)))

    def change(self, item: object, name: str, value: object) -> None:
        """Set an attribute of a record."""
        self._note(item)
        if self._open:
            self._undo.append((setattr, (item, name, getattr(item, name))))
        setattr(item, name, value)

    def push(self, items: list[V], value: V, of: object = None) -> None:
        """Add to the end of a list."""
        if of is not None:
            self._note(of)
        if self._open:
            self._undo.append((items.pop, ()))
        items.append(value)

    def add(self, items: set[V], value: V) -> None:
        """Add to a set."""
        if value not in items:
            if self._open:
                self._undo.append((items.discard, (value,)))
            items.add(value)

    def discard(self, items: set[V], value: V) -> None:
        """Remove from a set, if it is there."""
        if value in items:
            if self._open:
                self._undo.append((items.add, (value,)))
            items.discard(value)
