"""Where the threads of a process hand in what they write down, so that they commit together.

Whoever comes first writes for all who have come meanwhile, in one statement: a database commits so often a second, however
many rows are in it, and SQLite lets one write at a time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.db import DatabaseError

AT_A_TIME = 500
INTERRUPTED = "whoever wrote it down for all was interrupted"
Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(eq=False, slots=True)
class _Slip(Generic[Item, Answer]):
    """What one thread hands in, and what became of it."""

    item: Item
    answer: Answer | None = None
    is_done: bool = False
    error: Exception | None = field(default_factory=lambda: DatabaseError(INTERRUPTED))  # until it is written

    def is_written(self, answer: Answer) -> None:
        """Note what became of it."""
        self.answer, self.error = answer, None


@dataclass(eq=False)
class Desk(Generic[Item, Answer]):
    """A thread returns from it when its own is committed. `write` takes several items and answers each, in their order."""

    write: Callable[[Sequence[Item]], Sequence[Answer]]
    _waiting: deque[_Slip[Item, Answer]] = field(default_factory=deque)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def hand_in(self, item: Item) -> Answer:
        """Have this written, together with whatever else waits. Raises whatever kept this very one from being written.

        Where the thread that writes for all is interrupted (its process is told to end), the others get a DatabaseError.
        """
        slip: _Slip[Item, Answer] = _Slip(item)
        self._waiting.append(slip)
        with self._writing:
            while not slip.is_done:
                self._write([self._waiting.popleft() for _number in range(min(len(self._waiting), AT_A_TIME))])
        if slip.error is not None:
            raise slip.error
        return slip.answer  # type: ignore[return-value] # written: `_write` has put it there

    def _write(self, slips: Sequence[_Slip[Item, Answer]]) -> None:
        """Write all of these at once; where that fails, each by itself: one that cannot be must not take the others along."""
        try:
            answers = self.write([slip.item for slip in slips])
            for slip, answer in zip(slips, answers, strict=True):
                slip.is_written(answer)
        except Exception as error:  # whatever it is, those who wait must be told: what is not written must not seem so
            for slip in slips:
                if len(slips) == 1:
                    slip.error = error
                else:
                    self._write_alone(slip)
        finally:
            for slip in slips:
                slip.is_done = True

    def _write_alone(self, slip: _Slip[Item, Answer]) -> None:
        """Write one; note what kept it from being written."""
        try:
            (answer,) = self.write([slip.item])
            slip.is_written(answer)
        except Exception as error:  # as above
            slip.error = error
