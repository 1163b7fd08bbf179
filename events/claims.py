"""Claiming due deliveries under a lease, and nothing else: `events.stamping` commits the calls they leave in.

A claim need not survive a crash of the database, so nobody waits for the disk: the stamp that follows does, for both.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from events import tallies
from events.models import EventDelivery
from events.sql import id_list, moment
from events.states import Reason, State
from integrations.locks import lock_integration
from integrations.providers.values import loads

# The driver's own reading of an id and of a time costs as much as everything else about a row.
RETURNED_SQLITE = (
    "id, event_name, customer_ref, recipient, payload, occurred_at || '+00:00', created_at || '+00:00'"  # it keeps UTC, as text
)
RETURNED_POSTGRESQL = (
    "id::text, event_name, customer_ref, recipient, payload, "
    "extract(epoch FROM occurred_at)::float8, extract(epoch FROM created_at)::float8"
)

# A customer is in at most one call in flight, and waits behind an earlier event that keeps failing, but not for ever, and
# behind one whose claim was lost; only a replay neither waits behind an earlier event nor holds a later one back.
# The customers who are busy are gathered first: what a planner without statistics makes of a correlated question is
# quadratic. `first_id` is empty for one with a call in flight. (A UUID has no minimum on PostgreSQL; its text has.) Those whose
# claim was lost are few: their state is asked for in a way that leads nobody to the index of all that is due.
BUSY = """
    SELECT customer_ref, CASE WHEN MAX(in_flight) = 1 THEN '' ELSE MIN(key) END AS first_id FROM (
      SELECT customer_ref, CASE WHEN status = 'sending' THEN 1 ELSE 0 END AS in_flight, CAST(id AS text) AS key
      FROM events_eventdelivery
      WHERE integration_id = %s AND status IN ('sending', 'retrying')
        AND (status = 'sending' OR (first_failed_at > %s AND replay_of_id IS NULL))
      UNION ALL
      SELECT customer_ref, 0, CAST(id AS text) FROM events_eventdelivery
      WHERE integration_id = %s AND lost_claims > 0 AND status || '' IN ('queued', 'retrying')
        AND replay_of_id IS NULL) AS rows_of_busy
    GROUP BY customer_ref
"""
DUE = """
    WITH busy AS MATERIALIZED ({busy})
    SELECT d.{key} FROM events_eventdelivery d {joined}
    WHERE d.integration_id = %s AND d.status IN ('queued', 'retrying') AND d.next_attempt_at <= %s AND d.lost_claims = %s
      AND (d.expires_at IS NULL OR d.expires_at > %s)
      AND (COALESCE({first_id}, CAST(d.id AS text)) >= CAST(d.id AS text) OR (d.replay_of_id IS NOT NULL AND {first_id} <> ''))
      AND EXISTS (
        SELECT 1 FROM integrations_integration i
        WHERE i.id = %s AND i.enabled AND i.status = 'active' AND (i.hold_until IS NULL OR i.hold_until <= %s))
    ORDER BY d.next_attempt_at, d.id LIMIT %s
"""
DUE_SQLITE = DUE.format(
    busy=BUSY, joined="LEFT JOIN busy ON busy.customer_ref = d.customer_ref", first_id="busy.first_id", key="id"
)
# PostgreSQL would join row by row here, too: its statistics are of quiet times, when nobody is busy. Looking up a key cannot
# be planned wrongly. Rows are named by their places, which are theirs as long as they are locked: nobody looks for them again.
DUE_POSTGRESQL = DUE.format(
    busy=f"SELECT jsonb_object_agg(customer_ref, first_id) AS first_ids FROM ({BUSY}) AS customers",  # noqa: S608 - our own
    joined="",
    first_id="((SELECT first_ids FROM busy) ->> d.customer_ref)",
    key="ctid",
)
THESE = """
    SELECT d.id FROM events_eventdelivery d
    WHERE d.integration_id = %s AND d.id {condition} AND d.status IN ('queued', 'retrying')
      AND (d.expires_at IS NULL OR d.expires_at > %s)
      AND NOT EXISTS (
        SELECT 1 FROM events_eventdelivery o
        WHERE o.integration_id = d.integration_id AND o.customer_ref = d.customer_ref
          AND o.status IN ('sending', 'retrying') AND o.status = 'sending')
      AND EXISTS (
        SELECT 1 FROM integrations_integration i
        WHERE i.id = %s AND i.enabled AND i.status = 'active' AND (i.hold_until IS NULL OR i.hold_until <= %s))
"""
CLAIM = """
    UPDATE events_eventdelivery SET status = 'sending', call_id = NULL, lease_owner = %s, lease_until = %s
    WHERE {chosen} RETURNING {returned}
"""
CHOSEN_SQLITE = f"id IN ({DUE_SQLITE})"
CHOSEN_POSTGRESQL = f"ctid = ANY (ARRAY({DUE_POSTGRESQL} FOR UPDATE OF d SKIP LOCKED))"
RELEASE = """
    UPDATE events_eventdelivery SET lease_owner = '', lease_until = NULL,
      status = CASE WHEN attempt_count > 0 THEN 'retrying' ELSE 'queued' END
    WHERE status = 'sending' AND lease_owner = %s AND call_id IS NULL
"""

RENEW = """
    UPDATE events_eventdelivery SET lease_until = %s
    WHERE status = 'sending' AND lease_owner = %s AND call_id IS NULL AND lease_until > %s
"""


class Claimed(NamedTuple):
    """What packing needs of a claimed delivery, and nothing else."""

    id: str
    event_name: str
    customer_ref: str
    recipient: dict[str, Any]
    payload: dict[str, Any]
    occurred_at: datetime
    created_at: datetime


def new_owner() -> str:
    """Return a name for one claim."""
    return uuid.uuid4().hex


def claim(integration_id: int, limit: int, owner: str, lost: int = 0) -> list[Claimed]:
    """Lease up to `limit` due deliveries to `owner`, in recorded order; none of an integration that may not send now.

    `lost`: those of which so many claims were lost before; they are not claimed together with others (`events.suspects`).
    """
    chosen = CHOSEN_POSTGRESQL if connection.vendor == "postgresql" else CHOSEN_SQLITE
    sql = CLAIM.format(chosen=chosen, returned=_returned())
    with transaction.atomic():
        lock_integration(integration_id, may_be_lost=True)
        now = timezone.now()  # after the wait for the lock: the lease begins here
        hold_since = moment(now - timedelta(seconds=settings.DELIVERY_ORDER_HOLD_SECONDS))
        lease_until = moment(now + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS))
        wanted = [integration_id, moment(now), lost, moment(now), integration_id, moment(now), limit]
        values = [owner, lease_until, integration_id, hold_since, integration_id, *wanted]
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            rows = cursor.fetchall()
    return [_claimed(row) for row in sorted(rows, key=itemgetter(0))]


def claim_these(integration_id: int, ids: Sequence[str], owner: str) -> list[Claimed]:
    """Lease these very deliveries, as far as they still wait and their customer has no call under way.

    For a batch that must be sent in smaller parts, and for a test; none of an integration that may not send now.
    """
    condition, parameter = id_list(ids)
    sql = CLAIM.format(chosen=f"id IN ({THESE.format(condition=condition)})", returned=_returned())
    with transaction.atomic():
        lock_integration(integration_id, may_be_lost=True)
        now = timezone.now()
        lease_until = moment(now + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS))
        with connection.cursor() as cursor:
            cursor.execute(sql, [owner, lease_until, integration_id, parameter, moment(now), integration_id, moment(now)])
            rows = cursor.fetchall()
    return [_claimed(row) for row in sorted(rows, key=itemgetter(0))]


def _claimed(row: Sequence[Any]) -> Claimed:
    """Return a row as the packer takes it, whichever database it came from."""
    key, name, ref, recipient, payload, occurred_at, created_at = row
    return Claimed(
        _dashed(key),
        name,
        ref,
        loads(recipient) if isinstance(recipient, str) else recipient,
        loads(payload) if isinstance(payload, str) else payload,
        _aware(occurred_at),
        _aware(created_at),
    )


def _dashed(key: str) -> str:
    """Return an id in its usual form: SQLite keeps 32 digits."""
    return key if len(key) == 36 else f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"


def _returned() -> str:
    """Return the columns of a claimed row."""
    return RETURNED_POSTGRESQL if connection.vendor == "postgresql" else RETURNED_SQLITE


def _aware(value: str | float) -> datetime:
    """Return a time with its zone: SQLite was asked for text, PostgreSQL for epoch seconds."""
    return datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)


def renew(owner: str) -> int:
    """Begin the lease of what a claim has not sent anew, as far as it is not over. Returns how many."""
    now = timezone.now()
    lease_until = now + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(RENEW, [moment(lease_until), owner, moment(now)])
        return int(cursor.rowcount)


def release(owner: str) -> int:
    """Give back what a claim did not send. No try was used. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(RELEASE, [owner])
        return int(cursor.rowcount)


def release_these(ids: Sequence[str], owner: str) -> None:
    """Give back these deliveries of a claim. No try was used."""
    if ids:
        condition, parameter = id_list(ids)
        with connection.cursor() as cursor:
            cursor.execute(f"{RELEASE} AND id {condition}", [owner, parameter])


def fail(key: str, owner: str) -> None:
    """Give up a claimed delivery that our own code cannot pack. A person may retry it once that is mended."""
    _end(key, owner, State.FAILED, Reason.INTERNAL)


def skip(reasons: dict[str, str], owner: str) -> None:
    """Note why claimed deliveries cannot be sent to anyone."""
    for key, detail in reasons.items():
        _end(key, owner, State.SKIPPED, Reason.NO_IDENTITY, detail[:300])


def _end(key: str, owner: str, state: State, reason: Reason, detail: str = "") -> None:
    """Take a claimed delivery out of the queue, and count it."""
    claimed = EventDelivery.objects.filter(pk=key, status=State.SENDING, lease_owner=owner)
    with transaction.atomic():
        integration_id = claimed.values_list("integration_id", flat=True).first()
        ended = claimed.update(status=state, reason=reason, detail=detail, next_attempt_at=None, lease_owner="", lease_until=None)
        if integration_id and ended:
            kind = tallies.Kind.SKIPPED if state == State.SKIPPED else tallies.Kind.FAILED
            tallies.add(Counter({(kind, reason.value): ended}), integration_id)
