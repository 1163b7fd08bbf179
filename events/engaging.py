"""What came back about deliveries, written down: inserted or ignored, never counted here (see `events.statistics_engagement`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events.sql import cursor_for, db_id, moment

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
        with cursor_for(len(part)) as cursor:
            cursor.execute(INSERT.format(rows=", ".join([ROW] * len(part))), values)


def _values(item: Came) -> tuple[object, ...]:
    """Return a row's values in their order."""
    return db_id(item.delivery_id), item.kind, moment(item.occurred_at), item.source, item.is_machine, item.once
