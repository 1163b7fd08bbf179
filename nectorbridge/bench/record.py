"""What it costs to record: a credit with one definition, next to the same credit with one hand-written raw INSERT.

The INSERT puts a row of the same size into the same table, with the same indexes, in the same transaction. Everything
that recording does besides (finding definitions, building and freezing the payload, idempotency, the bell) is the difference.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, cycle, islice
from typing import Any

from django.db import connection

import events
from events.identifiers import new_id
from events.models import EventDelivery
from nectorbridge.bench import world
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.measure import Bar, Comparison, compare
from nectorbridge.loyalty import services

NAME = "record"
BAR = Bar(1.2, at_most=True)
CREDITS, QUICK_CREDITS = 400, 4
CUSTOMERS = 100
MICROSECONDS = 1_000_000.0


class RawInsert:
    """A hand-written INSERT of a copy of one recorded delivery, with a key of its own."""

    def __init__(self, sample: EventDelivery) -> None:
        """Take all columns from a delivery that was really recorded."""
        fields = EventDelivery._meta.concrete_fields
        names = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
        marks = ", ".join(["%s"] * len(fields))
        self.statement = f"INSERT INTO events_eventdelivery ({names}) VALUES ({marks})"  # noqa: S608 - column names
        columns = [field.attname for field in fields]
        self.values = [field.get_db_prep_save(getattr(sample, field.attname), connection) for field in fields]
        self.recipient, self.payload = sample.recipient, sample.payload
        wanted = ("id", "recipient", "payload", "idempotency_key")
        self.id_at, self.recipient_at, self.payload_at, self.key_at = (columns.index(name) for name in wanted)
        self._numbers = count()

    def __call__(self, activity: events.Activity) -> list[EventDelivery]:
        """Insert one row, in place of `events.record`."""
        values = list(self.values)
        key = new_id()
        values[self.id_at] = key if connection.vendor == "postgresql" else key.hex
        values[self.recipient_at] = json.dumps(self.recipient)
        values[self.payload_at] = json.dumps(self.payload)
        values[self.key_at] = f"raw:{next(self._numbers)}"
        with connection.cursor() as cursor:
            cursor.execute(self.statement, values)
        return []


@contextmanager
def announced_by(record: Any) -> Iterator[None]:
    """Have the ledger call this in place of `events.record`."""
    events.__dict__["record"] = record  # the name is otherwise looked up lazily
    try:
        yield
    finally:
        del events.__dict__["record"]


class Credits:
    """Credits customers in turn."""

    def __init__(self, place: world.World, number: int) -> None:
        """Make `number` credits per figure."""
        self.place = place
        self.number = number
        self.customers = cycle(place.customers)

    def recorded(self) -> float:
        """Return the microseconds per credit that is recorded. The bell is rung already."""
        self.place.silence_bell()
        return self._credit()

    def with_raw_insert(self, insert: RawInsert) -> float:
        """Return the microseconds per credit with a raw INSERT in place of the recording."""
        self.place.silence_bell()
        with announced_by(insert):
            return self._credit()

    def _credit(self) -> float:
        chosen = list(islice(self.customers, self.number))
        began = time.perf_counter()
        for customer in chosen:
            services.credit(customer, 10, "Welcome")
        return (time.perf_counter() - began) / self.number * MICROSECONDS


def run(options: Options) -> dict[str, Any]:
    """Measure; microseconds per credit."""
    place = world.build(options.size(CUSTOMERS, 2))
    credits = Credits(place, options.size(CREDITS, QUICK_CREDITS))
    credits.recorded()
    insert = RawInsert(place.definition.deliveries.latest("id"))
    credits.with_raw_insert(insert)
    what = "a credit with one matching definition, bell rung / the same credit with one raw INSERT into the outbox"
    comparison = Comparison(NAME, what, "us", BAR)
    return compare(comparison, lambda: credits.with_raw_insert(insert), credits.recorded, options.pairs, options.note).as_dict()
