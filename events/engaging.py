"""What came back about deliveries, written down: inserted or ignored, never counted here (see `events.statistics_engagement`).

The threads of a web server write together: whoever comes first writes for all who have come meanwhile, in one statement.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection

from events.sql import db_id, moment

ROWS_PER_STATEMENT = 500
INSERT = (
    "INSERT INTO events_engagement (delivery_id, kind, occurred_at, source, is_machine, once, is_counted, is_first) "
    "VALUES {rows} ON CONFLICT DO NOTHING"
)
ROW = "(%s, %s, %s, %s, %s, %s, FALSE, FALSE)"


@dataclass(frozen=True, slots=True)
class Came:
    """One open, click, bounce ... of a delivery. `kind` is an `EngagementKind`, `occurred_at` aware.

    `once` is at most 64 characters and the same whenever the same thing is told again; empty: each telling counts.
    """

    delivery_id: uuid.UUID
    kind: str
    source: str
    occurred_at: datetime
    is_machine: bool = False
    once: str = ""


def write(came: Sequence[Came]) -> None:
    """Insert these, in one statement for each 500. What has a `once` that is known already is left out silently."""
    for start in range(0, len(came), ROWS_PER_STATEMENT):
        part = came[start : start + ROWS_PER_STATEMENT]
        values: list[Any] = [value for item in part for value in _values(item)]
        with connection.cursor() as cursor:
            cursor.execute(INSERT.format(rows=", ".join([ROW] * len(part))), values)


def _values(item: Came) -> tuple[object, ...]:
    """Return a row's values in their order."""
    return db_id(item.delivery_id), item.kind, moment(item.occurred_at), item.source, item.is_machine, item.once


@dataclass(eq=False, slots=True)
class _Slip:
    """What one thread hands in, and what became of it."""

    came: Came
    is_done: bool = False
    error: DatabaseError | None = None


@dataclass(eq=False)
class Desk:
    """Where the threads of a process hand in what came back. A thread returns when its own is committed."""

    _waiting: deque[_Slip] = field(default_factory=deque)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def hand_in(self, came: Came) -> None:
        """Have this written, together with whatever else waits. Raises DatabaseError where this very one could not be."""
        slip = _Slip(came)
        self._waiting.append(slip)
        with self._writing:
            while not slip.is_done:
                self._write([self._waiting.popleft() for _number in range(min(len(self._waiting), ROWS_PER_STATEMENT))])
        if slip.error is not None:
            raise slip.error

    def _write(self, slips: Sequence[_Slip]) -> None:
        """Write all of these at once; where that fails, each by itself: one that cannot be must not take the others along."""
        try:
            write([slip.came for slip in slips])
        except DatabaseError as error:
            for slip in slips:
                slip.error = error if len(slips) == 1 else _failure(slip.came)
        finally:
            for slip in slips:
                slip.is_done = True


def _failure(came: Came) -> DatabaseError | None:
    """Write one; return what kept it from being written."""
    try:
        write([came])
    except DatabaseError as error:
        return error
    return None


DESK = Desk()
