"""Replay: a delivery sent once more as a new row, linked to the old one, which stays as it is.

The new row carries what the old one carried, frozen when that was recorded, but an id and tracked links of its own, so that
what comes back is told apart. It goes to the customer as they are known now (`events.standing`), and not in order: it
neither waits for the customer's other events nor holds them back (`events.claims`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from events import tallies
from events.identifiers import new_id
from events.models import EventDelivery
from events.payload import delivery_fields
from events.recorder import LONGEST_STORED_KEY
from events.sql import insert_new
from events.staleness import worth_anew
from events.states import FINAL_STATES, Reason, State
from events.verbs import SKIPPED, WAITING, Fate, judge, lock, queues, replays_of, ring_for

# What was skipped for its customer is judged anew; what was skipped by the event's own rules stays out.
CUSTOMERS_REASONS = (Reason.NO_IDENTITY, Reason.NO_CONSENT, Reason.SUPPRESSED)
REPLAYABLE = Q(status__in=(State.SENT, State.FAILED, State.CANCELLED)) | Q(status=State.SKIPPED, reason__in=CUSTOMERS_REASONS)
# What a replay has of its own; everything else is the old row's.
OWN: dict[str, Any] = {
    "detail": "",
    "attempt_count": 0,
    "failure_count": 0,
    "uncertain_count": 0,
    "first_failed_at": None,
    "call_id": None,
    "lease_owner": "",
    "lease_until": None,
    "sent_at": None,
    "is_backfill": False,
}


def is_replayable(delivery: EventDelivery) -> bool:
    """Tell whether a delivery's state allows a replay."""
    if delivery.status == State.SKIPPED:
        return delivery.reason in CUSTOMERS_REASONS
    return delivery.status in FINAL_STATES


def _left_out(delivery: EventDelivery) -> str:
    """Return why a delivery that is over is not replayed, as a `Fate`."""
    return Fate.HELD_OUT if delivery.reason == Reason.HOLDOUT else Fate.BY_DESIGN


class Replay:
    """Writes a new delivery for each of these that is over. `token` makes the same request, made twice, one."""

    def __init__(self, ids: Sequence[UUID], token: str) -> None:
        """Read these deliveries and ask the host how their customers stand."""
        self.ids, self.token = ids, token
        rows = EventDelivery.objects.filter(pk__in=ids, status__in=FINAL_STATES).select_related("integration", "definition")
        self.rows = {row.pk: row for row in rows.order_by("pk")}
        able = [row for row in self.rows.values() if is_replayable(row)]
        judged, self.standings = judge(able)
        self.fates: dict[UUID, str] = {key: _left_out(row) for key, row in self.rows.items()} | judged
        self.integrations = queues(able, judged)

    def carry_out(self) -> Counter[str]:
        """Insert the new rows: three statements."""
        locked = lock(self.rows, FINAL_STATES)
        waiting = replays_of(locked, WAITING)
        fates = {key: Fate.REPLAYED if key in waiting else self.fates[key] for key in locked}
        new = {key: self._copy(self.rows[key], fate) for key, fate in fates.items() if fate in (Fate.QUEUED, Fate.HELD, *SKIPPED)}
        inserted = insert_new(list(new.values()), conflict="idempotency_key")
        fates |= {key: Fate.REPLAYED for key, row in new.items() if row.pk not in inserted}
        tallies.add_skipped((row.integration_id, row.reason) for row in new.values() if row.pk in inserted and row.reason)
        ring_for(self.rows[key].integration_id for key, fate in fates.items() if fate == Fate.QUEUED)
        counts = Counter(str(fate) for fate in fates.values())
        counts[Fate.WRONG_STATE] += len(self.ids) - len(fates)
        return +counts

    def _copy(self, old: EventDelivery, fate: str) -> EventDelivery:
        """Return the new row, not yet written."""
        key, now = new_id(), timezone.now()
        values = {field.attname: getattr(old, field.attname) for field in EventDelivery._meta.concrete_fields}
        reason = SKIPPED.get(Fate(fate), "")
        own = {
            "id": key,
            "replay_of_id": old.pk,
            "idempotency_key": replay_key(old, self.token),
            "customer_ref": self.standings[old.pk].ref,
            "recipient": self.standings[old.pk].recipient,
            "payload": delivery_fields(old.payload, key),
            "status": State.SKIPPED if reason else State.QUEUED if fate == Fate.QUEUED else State.HELD,
            "reason": reason,
            "next_attempt_at": None if reason else now,
            "created_at": now,
            "expires_at": worth_anew(old, now),
        }
        return EventDelivery(**{**values, **OWN, **own})


def replay_key(old: EventDelivery, token: str) -> str:
    """Return the idempotency key of a replay: of this delivery, by this request.

    Behind its first colon it has the activity's own key, as any delivery's: the host may be asked about it.
    """
    activity = old.idempotency_key.partition(":")[2]
    head = f"{old.definition_id}~{old.pk.hex}~{token}:"
    if len(head) + len(activity) > LONGEST_STORED_KEY:
        activity = hashlib.sha256(activity.encode()).hexdigest()
    return head + activity


def mark_of(token: str) -> str:
    """Return what the keys of all replays of one request have in common."""
    return f"~{token}:"


def replay_these(ids: Sequence[UUID], token: str) -> Counter[str]:
    """Replay these deliveries in one transaction: some dozens. Returns how many met which `Fate`.

    Asked again with the same token, it adds nothing.
    """
    plan = Replay(ids, token)
    with transaction.atomic():
        return plan.carry_out()


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of replaying one delivery: the new row, where there is one, and its fate."""

    delivery: EventDelivery | None
    fate: str


def replay(delivery: EventDelivery, token: str) -> Replayed:
    """Replay one delivery. Asked again with the same token, it returns the row that exists."""
    counts = replay_these([delivery.pk], token)
    row = EventDelivery.objects.filter(idempotency_key=replay_key(delivery, token)).first()
    return Replayed(row, next(iter(counts)))


def may_have_arrived(rows: Iterable[EventDelivery]) -> int:
    """Return how many of these were sent, or may have been: sending them again may reach the customer twice."""
    return sum(row.status == State.SENT or bool(row.uncertain_count) or row.reason == Reason.UNCERTAIN for row in rows)
