"""What came back about deliveries, written down: inserted or ignored, never changed, never counted here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from events.models import Engagement

ROWS_PER_STATEMENT = 500


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
    rows = [
        Engagement(
            delivery_id=item.delivery_id,
            kind=item.kind,
            source=item.source,
            occurred_at=item.occurred_at,
            is_machine=item.is_machine,
            once=item.once,
        )
        for item in came
    ]
    Engagement.objects.bulk_create(rows, ROWS_PER_STATEMENT, ignore_conflicts=True)
