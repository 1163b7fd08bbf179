"""What is no longer worth sending: deliveries past their moment, and those that later activity has overtaken.

The moment is stored when the activity is recorded (`EventDelivery.expires_at`): the earlier of the definition's own limit
and the end that the payload names, such as a coupon's. A claim leaves out what is past it, no try is planned beyond it, and
what waits or is held is skipped with the reason `stale` as soon as it has come.

A test has no such moment: somebody waits for its answer. A retry or a replay is a decision of now, so the definition's limit
counts from then; coins that have expired stay expired.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from events import tallies
from events.claims import Claimed
from events.host import get_host
from events.lookups import in_states
from events.models import EventDefinition, EventDelivery
from events.skipping import Why, skip_waiting
from events.states import DUE_STATES, Reason, State
from events.triggers import CATALOGUE, OVERTAKEN

logger = logging.getLogger(__name__)
ROWS_AT_A_TIME = 1000
ROWS_PER_SWEEP = 20_000
DAY_IS_OVER = timedelta(days=1, hours=12)  # a day without a time ends when it is over everywhere on Earth
LONGEST_DETAIL = 300
LATER: Mapping[str, Any] = {"next_attempt_at": None, "lease_owner": "", "lease_until": None}
STALE: Mapping[str, Any] = {"status": State.SKIPPED, "reason": Reason.STALE, **LATER}

ASKED_ABOUT = """
    SELECT id, trigger, idempotency_key FROM events_eventdelivery
    WHERE integration_id = %s AND status = 'sending' AND lease_owner = %s AND is_test = %s AND trigger IN ({triggers})
"""


def own_end(trigger: str, properties: Mapping[str, Any]) -> datetime | None:
    """Return the moment after which the payload itself is worthless, such as a coupon's end; None where it has none."""
    found = CATALOGUE.get(trigger)
    return _moment(properties.get(found.ends)) if found and found.ends else None


def earlier(end: datetime | None, stale_after: int | None, since: datetime) -> datetime | None:
    """Return until when an event is worth sending: its own end, or `stale_after` seconds from `since`, if that is earlier."""
    if stale_after is None:
        return end
    limit = since + timedelta(seconds=stale_after)
    return limit if end is None else min(end, limit)


def worth_anew(row: EventDelivery, now: datetime) -> datetime | None:
    """Return until when a delivery that a person sends again is worth it: the event's own limit counts from now.

    What has ended by itself has ended. The definition must be loaded.
    """
    payload = row.payload if isinstance(row.payload, dict) else {}
    return None if row.is_test else earlier(own_end(row.trigger, payload), row.definition.stale_after, now)


def _moment(value: Any) -> datetime | None:
    """Return a time from a payload with its zone (UTC where it names none), or None for what is none."""
    try:
        if isinstance(value, str):
            value = parse_date(value) or parse_datetime(value)
    except ValueError:  # shaped like a time, and none
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time.min, UTC) + DAY_IS_OVER if isinstance(value, date) else None


def why(trigger: str, properties: Mapping[str, Any], expires_at: datetime | None) -> str:
    """Return in words what was over at that moment."""
    found = CATALOGUE.get(trigger)
    if found and found.ended and own_end(trigger, properties) == expires_at:
        return _("Before it could be sent, %(what)s.") % {"what": found.ended}
    return _("It waited longer than this event is worth sending.")


# --- What waits ------------------------------------------------------------------------------------------------------------
def expire(now: datetime, integration_id: int | None = None) -> int:
    """Skip what waits or is held past its moment, everywhere or for one integration. Returns how many.

    Bounded: what is left comes with the next sweep, and no claim takes it meanwhile.
    """
    waiting = in_states(EventDelivery.objects.filter(expires_at__lte=now), (*DUE_STATES, State.HELD))
    if integration_id is not None:
        waiting = waiting.filter(integration=integration_id)
    skipped = 0
    while skipped < ROWS_PER_SWEEP:
        columns = ("integration", "pk", "trigger", "payload", "expires_at")
        rows = list(waiting.order_by("expires_at").values_list(*columns)[:ROWS_AT_A_TIME])
        grouped: dict[Why, list[Any]] = {}
        for of, pk, trigger, payload, expires_at in rows:
            words = why(trigger, payload if isinstance(payload, dict) else {}, expires_at)
            grouped.setdefault(Why(of, Reason.STALE, words[:LONGEST_DETAIL]), []).append(pk)
        done = skip_waiting(waiting, grouped)
        skipped += done
        if not done or len(rows) < ROWS_AT_A_TIME:
            break
    if skipped:
        logger.info("%d deliveries were no longer worth sending.", skipped)
    return skipped


def too_late(rows: Any, again: datetime, attempted: Mapping[str, Any]) -> int:
    """Skip those of the rows whose next try would come after their moment. `attempted`: what the last try changed."""
    detail = _("The next try would have come after the moment from which on it is not worth sending.")
    said = attempted.get("detail") or ""
    text = f"{detail} {_('The last answer:')} {said}" if said else detail
    return int(rows.filter(expires_at__lte=again).update(**{**attempted, **STALE, "detail": text[:LONGEST_DETAIL]}))


# --- What was claimed --------------------------------------------------------------------------------------------------------
def may_be_overtaken(integration_id: int) -> bool:
    """Tell whether this integration has events of which the host must be asked once more before they leave."""
    return EventDefinition.objects.filter(integration=integration_id, trigger__in=OVERTAKEN).exists()


def still_worth(integration_id: int, claimed: Sequence[Claimed], owner: str) -> list[Claimed]:
    """Return the claimed deliveries without those that the host says are no longer relevant: these are skipped as stale.

    One question a trigger, however many deliveries. Tests are not asked about. No transaction may be open.
    """
    reasons = _overtaken(integration_id, owner) if claimed else {}
    grouped: dict[str, list[str]] = {}
    for row in claimed:
        if row.id in reasons:
            grouped.setdefault(reasons[row.id], []).append(row.id)
    for reason, ids in grouped.items():
        mine = EventDelivery.objects.filter(pk__in=ids, status=State.SENDING, lease_owner=owner)
        with transaction.atomic():
            number = mine.update(**STALE, detail=reason[:LONGEST_DETAIL])
            tallies.add(tallies.skipped_counts(Reason.STALE, number), integration_id)
    return [row for row in claimed if row.id not in reasons]


def _overtaken(integration_id: int, owner: str) -> dict[str, str]:
    """Return why claimed deliveries are no longer worth sending, by id."""
    asked: dict[str, dict[str, list[str]]] = {}
    with connection.cursor() as cursor:
        statement = ASKED_ABOUT.format(triggers=", ".join(["%s"] * len(OVERTAKEN)))
        cursor.execute(statement, [integration_id, owner, False, *OVERTAKEN])
        for pk, trigger, stored in cursor.fetchall():
            keys = asked.setdefault(trigger, {})
            keys.setdefault(stored.partition(":")[2], []).append(_text(pk))
    return {
        pk: reason for trigger, keys in asked.items() for key, reason in _ask(trigger, keys.keys()) for pk in keys.get(key, ())
    }


def _ask(trigger: str, keys: Collection[str]) -> Iterable[tuple[str, str]]:
    """Return the host's reasons. A host that fails keeps nothing from being sent."""
    try:
        answer = get_host().still_relevant(trigger, list(keys))
        return [(key, str(reason)) for key, reason in answer.items() if reason]
    except Exception:  # the worker's edge: the host is another application
        logger.exception("The host could not say which events of %s are still relevant; they are sent.", trigger)
        return []


def _text(key: Any) -> str:
    """Return a delivery's id as a claim has it, whichever database it came from."""
    text = str(key)
    return text if len(text) == 36 else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
