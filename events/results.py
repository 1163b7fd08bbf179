"""Writing down what a call meant: one short transaction per call, set-based for all deliveries that share a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from events import tallies
from events.models import Call, EventDelivery
from events.retry import next_try, next_uncertain_try
from events.sql import id_list, moment
from events.states import Reason, State
from integrations.providers.base import Outcome, Reading, Verdict

LONGEST_CODE = 60
LONGEST_MESSAGE = 500

WRITE_ATTEMPTS = """
    INSERT INTO events_deliveryattempt
      (delivery_id, call_id, number, started_at, duration_ms, outcome, http_status, error_code, error_message)
    SELECT id, call_id, attempt_count, %s, %s, %s, %s, %s, %s FROM events_eventdelivery
    WHERE integration_id = %s AND call_id = %s AND status = 'sending'
"""
MARK_SENT = """
    UPDATE events_eventdelivery
    SET status = 'sent', sent_at = %s, reason = '', detail = '', next_attempt_at = NULL, lease_owner = '', lease_until = NULL
    WHERE integration_id = %s AND call_id = %s AND status = 'sending'
"""


def settle(call: Call, reading: Reading, now: datetime, held: bool = False) -> bool:
    """End the call and give each of its deliveries its outcome. Returns False where the call had been ended already.

    `held`: the provider asked for patience; what it did not take keeps its place and uses up no try.
    """
    with transaction.atomic():
        fields = {name: getattr(call, name) for name in ("duration_ms", "http_status", "response")}
        open_call = Call.objects.filter(pk=call.pk, ended_at__isnull=True)
        if not open_call.update(ended_at=now, outcome=reading.verdict.outcome, **fields):
            return False
        counts = tallies.call_counts([call.duration_ms])
        for verdict, ids in _named(reading.deliveries).items():
            counts += _apply(call, verdict, now, held, ids)
        counts += _apply(call, reading.verdict, now, held)
        tallies.add(counts, call.integration_id)
    return True


def settle_unsent(call: Call, ids: Sequence[str], owner: str, verdict: Verdict, now: datetime) -> None:
    """Give claimed deliveries that waited for this call, an ended one without them, its verdict: a try, and what follows.

    What leaves before an event, such as its customer's profile, did not get through: the event itself was not sent.
    """
    waiting = EventDelivery.objects.filter(pk__in=list(ids), status=State.SENDING, lease_owner=owner, call__isnull=True)
    with transaction.atomic():
        waiting.update(call=call, attempt_count=F("attempt_count") + 1)
        tallies.add(_apply(call, verdict, now, held=False, refused=Reason.IDENTIFY_REFUSED), call.integration_id)


def _named(deliveries: Mapping[str, Verdict]) -> dict[Verdict, list[str]]:
    """Return the deliveries that were named, by verdict."""
    grouped: dict[Verdict, list[str]] = {}
    for key, verdict in deliveries.items():
        grouped.setdefault(verdict, []).append(key)
    return grouped


def _apply(
    call: Call,
    verdict: Verdict,
    now: datetime,
    held: bool,
    ids: Sequence[str] | None = None,
    refused: Reason = Reason.REFUSED,
) -> tallies.Counts:
    """Write the attempts and the new state of the call's deliveries still under way (of `ids` only, if given).

    Returns what there is to count.
    """
    tried = _write_attempts(call, verdict, ids)
    if verdict.outcome is Outcome.ACCEPTED and ids is None:
        with connection.cursor() as cursor:
            cursor.execute(MARK_SENT, [moment(now), call.integration_id, call.pk])
            return tallies.outcome_counts(verdict.outcome, tried, [(State.SENT, "", cursor.rowcount)])
    rows = EventDelivery.objects.filter(integration_id=call.integration_id, call=call, status=State.SENDING)
    if ids is not None:
        rows = rows.filter(pk__in=ids)
    states = [
        (values["status"], values.get("reason", ""), group.update(lease_owner="", lease_until=None, **values))
        for values, group in _new_states(rows, verdict, now, held, refused)
    ]
    return tallies.outcome_counts(verdict.outcome, tried, states)


def _write_attempts(call: Call, verdict: Verdict, ids: Sequence[str] | None) -> int:
    """Insert one attempt per delivery, in one statement. Returns how many."""
    values: list[Any] = [
        moment(call.started_at),
        call.duration_ms,
        verdict.outcome.value,
        call.http_status,
        verdict.code[:LONGEST_CODE],
        verdict.message[:LONGEST_MESSAGE],
        call.integration_id,
        call.pk,
    ]
    sql = WRITE_ATTEMPTS
    if ids is not None:
        condition, parameter = id_list(ids)
        sql, values = f"{sql} AND id {condition}", [*values, parameter]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.rowcount)


def _new_states(rows: Any, verdict: Verdict, now: datetime, held: bool, refused: Reason) -> list[tuple[dict[str, Any], Any]]:
    """Return what becomes of the rows: column values, and the rows they are for."""
    detail = verdict.message[:300]
    match verdict.outcome:
        case Outcome.ACCEPTED:
            return [({"status": State.SENT, "sent_at": now, "reason": "", "detail": "", "next_attempt_at": None}, rows)]
        case Outcome.PERMANENT:
            return [({"status": State.FAILED, "reason": refused, "detail": detail, "next_attempt_at": None}, rows)]
        case Outcome.CONFIGURATION:
            return [({"status": State.RETRYING, "reason": "", "detail": detail}, rows)]
        case Outcome.UNCERTAIN:
            rows.filter(first_failed_at__isnull=True).update(first_failed_at=now)
            return [
                (_uncertain(count, detail, now), rows.filter(uncertain_count=count)) for count in _counts(rows, "uncertain_count")
            ]
    if held:
        return [({"status": State.RETRYING, "detail": detail}, rows)]
    rows.filter(first_failed_at__isnull=True).update(first_failed_at=now)
    reason = Reason.INTERNAL if verdict.outcome is Outcome.INTERNAL else Reason.EXHAUSTED
    return [(_failed(count, verdict, reason, now), rows.filter(failure_count=count)) for count in _counts(rows, "failure_count")]


def _counts(rows: Any, column: str) -> list[int]:
    """Return the distinct values of a counter, so that rows with the same past are updated together."""
    return list(rows.order_by().values_list(column, flat=True).distinct())


def _failed(count: int, verdict: Verdict, reason: str, now: datetime) -> dict[str, Any]:
    """Return the columns after one more failed try."""
    again = None if 0 < verdict.max_tries <= count + 1 else next_try(count + 1, now)
    state = {"status": State.RETRYING, "reason": ""} if again else {"status": State.FAILED, "reason": reason}
    return state | {"failure_count": count + 1, "detail": verdict.message[:300], "next_attempt_at": again}


def _uncertain(count: int, detail: str, now: datetime) -> dict[str, Any]:
    """Return the columns after one more try of which nobody knows whether it arrived."""
    again = next_uncertain_try(count + 1, now)
    state = {"status": State.RETRYING, "reason": ""} if again else {"status": State.FAILED, "reason": Reason.UNCERTAIN}
    return state | {"uncertain_count": count + 1, "detail": detail, "next_attempt_at": again}
