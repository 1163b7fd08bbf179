"""What it costs to record many activities at once, next to a bare `bulk_create` of the same rows, made beforehand.

Both sides commit. All that `record_many` does besides (finding definitions, building and freezing payloads, finding out what
is new, the bell) is the difference.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from django.db import transaction

from events import record_many
from events.identifiers import new_id
from events.models import EventDelivery
from nectorbridge.bench import world
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.measure import Bar, Comparison, compare

NAME = "record-many"
BAR = Bar(0.6, at_most=False)
ACTIVITIES, QUICK_ACTIVITIES = 5000, 10
CUSTOMERS, QUICK_CUSTOMERS = 1000, 5


class Import:
    """Writes deliveries by the thousand."""

    def __init__(self, place: world.World, count: int) -> None:
        """Write `count` of them per figure."""
        self.place = place
        self.count = count

    def recorded(self) -> float:
        """Return the activities per second that are recorded. The bell is rung already."""
        self.place.silence_bell()
        activities = self.place.activities(self.count)
        began = time.perf_counter()
        record_many(activities)
        return self.count / (time.perf_counter() - began)

    def created(self) -> float:
        """Return the rows per second that `bulk_create` writes."""
        rows = self._unsaved()
        began = time.perf_counter()
        EventDelivery.objects.bulk_create(rows)
        return self.count / (time.perf_counter() - began)

    def _unsaved(self) -> list[EventDelivery]:
        """Return what would be recorded, with ids and keys of its own."""
        with transaction.atomic():
            rows = record_many(self.place.activities(self.count))
            transaction.set_rollback(True)
        for row in rows:
            row.pk, row.idempotency_key, row._state.adding = new_id(), f"bare:{uuid.uuid4()}", True
        return rows


def run(options: Options) -> dict[str, Any]:
    """Measure; rows per second."""
    place = world.build(options.size(CUSTOMERS, QUICK_CUSTOMERS))
    bulk = Import(place, options.size(ACTIVITIES, QUICK_ACTIVITIES))
    bulk.created()
    bulk.recorded()
    what = f"record_many of {bulk.count:,} activities with one matching definition / a bare bulk_create of the same rows"
    comparison = Comparison(NAME, what, "rows/s", BAR)
    return compare(comparison, bulk.created, bulk.recorded, options.pairs, options.note).as_dict()
