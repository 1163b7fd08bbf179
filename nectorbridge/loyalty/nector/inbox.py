"""Webhooks that wait: stored once, rung for once, and worked on in the order in which they came.

Like the outbox's, the bell is only a bell: a lost task loses nothing, since the sweep rings again, and a doubled one does nothing
twice, since each webhook is worked on under its row's lock, in one transaction with what it writes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from events import bell, closing
from events.desk import Desk
from events.receipts import Receipts
from events.sql import hot_cursor, moment
from nectorbridge.loyalty.models import HmacVerdict, Inbox, ReceiptState, WebhookReceipt
from nectorbridge.loyalty.models.receipts import LONGEST_DELIVERY_ID, LONGEST_TOPIC

# One statement and one commit for all who wait, since Nector waits for it. What came lately in the same words takes the number of
# those, and so is no new row; what came longer ago is followed by the next number.
STORE = """
    INSERT INTO loyalty_webhookreceipt (merchant_id, topic, delivery_id, content_hash, content_number, source, sent_at,
        received_at, next_try_at, hmac, body, state, detail, tries, customer_ref, became)
    VALUES {rows} ON CONFLICT DO NOTHING RETURNING merchant_id, content_hash, delivery_id
"""
ROW = """(%s, %s, %s, %s,
    COALESCE((SELECT CASE WHEN received_at > %s THEN content_number ELSE content_number + 1 END
              FROM loyalty_webhookreceipt WHERE merchant_id = %s AND content_hash = %s
              ORDER BY content_number DESC LIMIT 1), 1),
    %s, %s, %s, %s, %s, %s, 'waiting', '', 0, '', '[]')"""
IS_RUNG = "SELECT 1 FROM loyalty_inbox WHERE merchant_id = %s AND rung_at >= %s"
WORK_TASK = "nectorbridge.loyalty.tasks.work_on_webhooks"
WHOSE = "the webhooks of merchant"
REPEATED_WITHIN = timedelta(hours=24)  # Nector tries five times, farther and farther apart; nudges come a day apart at least
TURN_SECONDS = 2.0
LEASE = timedelta(seconds=60)
AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class Arrived:
    """A webhook as it came through the door."""

    topic: str
    body: Mapping[str, Any]
    fingerprint: str
    delivery_id: str
    source: str
    sent_at: datetime | None
    hmac: HmacVerdict


def _store(letters: Sequence[tuple[int, Arrived]]) -> list[bool]:
    """Insert what arrived for these merchants and ask for somebody to work on it; tell of each whether it was not here before."""
    now = timezone.now()
    recently, came_at = moment(now - REPEATED_WITHIN), moment(now)
    rows = [_row(merchant_id, arrived, recently, came_at) for merchant_id, arrived in letters]
    keys = [(merchant_id, arrived.fingerprint, arrived.delivery_id) for merchant_id, arrived in letters]
    return RECEIPTS.insert(STORE, ROW, rows, keys)


def _row(merchant_id: int, arrived: Arrived, recently: Any, came_at: Any) -> tuple[Any, ...]:
    """Return the values of one row, in the order of their marks."""
    sent_at = moment(arrived.sent_at) if arrived.sent_at else None
    return (
        *(merchant_id, arrived.topic[:LONGEST_TOPIC], arrived.delivery_id, arrived.fingerprint),
        *(recently, merchant_id, arrived.fingerprint, arrived.source[:40], sent_at, came_at, came_at),
        *(str(arrived.hmac), orjson.dumps(arrived.body).decode()),
    )


DESK: Desk[tuple[int, Arrived], bool] = Desk(_store)


def store(merchant_id: int, arrived: Arrived) -> bool:
    """Keep a webhook and ask for somebody to work on it. Returns False for one that is here already. Raises DatabaseError."""
    return DESK.hand_in((merchant_id, replace(arrived, delivery_id=arrived.delivery_id[:LONGEST_DELIVERY_ID])))


def ring(merchant_id: int) -> bool:
    """Ask for work on a merchant's webhooks unless it is asked for already. Returns whether it rang."""
    now = timezone.now()
    lost = now - timedelta(seconds=settings.DELIVERY_SWEEP_SECONDS)
    with hot_cursor() as cursor:
        cursor.execute(IS_RUNG, [merchant_id, moment(lost)])
        if cursor.fetchone():
            return False
    silent = Inbox.objects.filter(Q(rung_at__isnull=True) | Q(rung_at__lt=lost), merchant=merchant_id)
    Inbox.objects.get_or_create(merchant_id=merchant_id)
    return bool(silent.update(rung_at=now)) and bell.ask(WORK_TASK, merchant_id)


def ring_for_due() -> int:
    """Ring for every merchant whose webhooks wait: what a worker's sweep does. Returns for how many it rang."""
    now = timezone.now()
    free = Inbox.objects.filter(Q(leased_until__isnull=True) | Q(leased_until__lt=now))
    waiting = WebhookReceipt.objects.filter(next_try_at__lte=now).order_by()
    merchants = set(waiting.values_list("merchant", flat=True).distinct())
    taken = set(Inbox.objects.filter(merchant__in=merchants).exclude(pk__in=free.values("pk")).values_list("merchant", flat=True))
    return sum(ring(pk) for pk in sorted(merchants - taken))


def work(merchant_id: int) -> int:
    """Work on what waits, until nothing does or the turn is over. Returns how many webhooks were worked on."""
    Inbox.objects.get_or_create(merchant_id=merchant_id)
    mine, now = Inbox.objects.filter(merchant=merchant_id), timezone.now()
    free = mine.filter(Q(leased_until__isnull=True) | Q(leased_until__lt=now))
    if closing.is_closing() or not free.update(leased_until=now + LEASE, rung_at=None):
        return 0  # somebody is at it, and looks again in the end
    ends, count = time.monotonic() + TURN_SECONDS, 0
    try:
        while time.monotonic() < ends and not closing.is_closing() and (due := RECEIPTS.due(merchant_id, AT_A_TIME)):
            for pk in due:
                count += RECEIPTS.work_on(pk)
                if time.monotonic() >= ends or closing.is_closing():
                    break
            mine.update(leased_until=timezone.now() + LEASE)
    finally:
        mine.update(leased_until=None)
    if RECEIPTS.due(merchant_id, 1):
        ring(merchant_id)
    return count


def _apply(receipt: WebhookReceipt) -> None:
    """Write what the webhook says, and that it was done, in one transaction."""
    from nectorbridge.loyalty.nector.topics import apply

    with transaction.atomic():
        locked = WebhookReceipt.objects.select_for_update().filter(pk=receipt.pk, next_try_at__isnull=False)
        if not locked.exists():
            return
        result = apply(receipt)
        WebhookReceipt.objects.filter(pk=receipt.pk).update(
            state=result.state,
            detail=result.detail,
            customer_ref=result.customer_ref,
            became=result.became,
            next_try_at=None,
            done_at=timezone.now(),
        )


RECEIPTS = Receipts(
    WebhookReceipt,
    owner="merchant",
    whose=WHOSE,
    ring=ring,
    apply=_apply,
    waiting=ReceiptState.WAITING,
    failed=ReceiptState.FAILED,
    again_after=(5, 60, 600, 3600),
    ended_at="done_at",
)
