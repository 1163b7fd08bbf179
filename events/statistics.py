"""Numbers that outlive their rows: deliveries counted by the quarter of an hour in which they were recorded.

Deliveries change for a while and then never again. So the table itself answers for the newest quarters, and small rows
for all before them: a *fold* counts a whole quarter once everything in it has had time to settle. Where a row of a folded
quarter may still change, that integration's quarter is noted (`StatRecount`), read from the table meanwhile, and counted
anew. A purge moves what it deletes from `kept` to `gone`, in the transaction of the delete. Whoever writes here holds the
frontier's lock, so that nothing is counted twice; whoever reads (`events.statistics_reading`) needs none.

A figure is a state of a delivery, or `handover` (of those that were sent, by the seconds it took; `reason` is the bound), or
a kind of engagement (`open`: all by people, `open_first`: deliveries that were opened at all, `open_machine`: by mail filters
and the like) in the quarter in which it happened (see `events.statistics_engagement`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from events.identifiers import first_id_at
from events.models import EventDelivery, StatFrontier, StatRecount
from events.sql import db_id, id_list, moment
from events.states import State

QUARTER = timedelta(minutes=15)
SETTLING = timedelta(hours=1)  # quarters are left alone for so long: transactions that are open now may still add to them
LOOK_AGAIN = timedelta(minutes=5)
EVERYBODY = 0  # the scope of the sums over all merchants
RECOUNTS_PER_FOLD = 50
MARKS_PER_STATEMENT = 2000
MILLISECONDS_AT = 80  # the bits of an id that are no time

INTO_BUCKETS = "INSERT INTO events_statbucket (definition_id, integration_id, merchant_id, starts_at, figure, reason, kept, gone)"
# What is about to be deleted moves from what is kept to what is gone.
MOVE_TO_GONE = """ON CONFLICT (starts_at, definition_id, figure, reason) DO UPDATE
    SET gone = events_statbucket.gone + excluded.gone,
        kept = CASE WHEN events_statbucket.kept > excluded.gone THEN events_statbucket.kept - excluded.gone ELSE 0 END"""
COUNT_KEPT = """
    {into}
    SELECT definition_id, integration_id, merchant_id, {starts_at}, status, reason, COUNT(*), 0
    FROM events_eventdelivery WHERE id >= %s AND id < %s AND NOT is_test {only}
    GROUP BY definition_id, integration_id, merchant_id, status, reason
    ON CONFLICT (starts_at, definition_id, figure, reason) DO UPDATE SET kept = excluded.kept
"""
COUNT_GONE = """
    {into}
    SELECT definition_id, integration_id, merchant_id, {starts_at}, status, reason, 0, COUNT(*)
    FROM events_eventdelivery WHERE id {these} AND NOT is_test
    GROUP BY definition_id, integration_id, merchant_id, status, reason
    {then}
"""
# How long it took from the activity to the hand-over, by the bound that it stayed within; not of what was imported or replayed.
HANDOVER_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400)
HANDOVER, LONGER = "handover", "longer"
STEPS = " ".join(f"WHEN {{took}} <= {bound} THEN '{bound}'" for bound in HANDOVER_SECONDS)
WITHIN = f"CASE {STEPS} ELSE '{LONGER}' END"
HANDED_OVER = "d.status = 'sent' AND NOT d.is_test AND NOT d.is_backfill AND d.replay_of_id IS NULL AND d.sent_at IS NOT NULL"
FROM_DELIVERIES = ", ".join(f"'{figure}'" for figure in (*State.values, HANDOVER))  # the others are of what came back
HANDOVER_KEPT = """
    {into}
    SELECT definition_id, integration_id, merchant_id, {starts_at}, 'handover', {within}, COUNT(*), 0
    FROM events_eventdelivery d WHERE d.id >= %s AND d.id < %s AND {handed_over} {only}
    GROUP BY 1, 2, 3, 6
    ON CONFLICT (starts_at, definition_id, figure, reason) DO UPDATE SET kept = excluded.kept
"""
HANDOVER_GONE = """
    {into}
    SELECT definition_id, integration_id, merchant_id, {starts_at}, 'handover', {within}, 0, COUNT(*)
    FROM events_eventdelivery d WHERE d.id {these} AND {handed_over}
    GROUP BY 1, 2, 3, 6
    {then}
"""
SUM_UP = """
    INSERT INTO events_stattotal (scope, starts_at, figure, kept, gone)
    SELECT {scope}, starts_at, figure, SUM(kept), SUM(gone) FROM events_statbucket
    WHERE starts_at = {starts_at} AND figure <> 'handover' GROUP BY {groups}
    ON CONFLICT (scope, starts_at, figure) DO UPDATE SET kept = excluded.kept, gone = excluded.gone
"""
UNSETTLED = """
    SELECT DISTINCT integration_id FROM events_eventdelivery
    WHERE id >= %s AND id < %s AND status IN ('queued', 'retrying', 'sending') {only}
"""


def quarter_of(at: datetime) -> datetime:
    """Return the beginning of the quarter of an hour, in UTC."""
    at = at.astimezone(UTC)
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


def recorded_at(delivery_id: uuid.UUID) -> datetime:
    """Return the moment that a delivery's id tells, to the millisecond, in UTC."""
    return datetime.fromtimestamp((delivery_id.int >> MILLISECONDS_AT) / 1000, UTC)


@contextmanager
def frontier() -> Iterator[StatFrontier]:
    """Hold the lock without which nobody writes statistics, in a transaction; yield the row: what is folded so far."""
    with transaction.atomic():
        found = StatFrontier.objects.select_for_update().filter(pk=StatFrontier.ONLY).first()
        if found is None:
            StatFrontier.objects.bulk_create([StatFrontier(pk=StatFrontier.ONLY)], ignore_conflicts=True)
            found = StatFrontier.objects.select_for_update().get(pk=StatFrontier.ONLY)
        yield found


def fold(now: datetime | None = None, most: int = 1) -> int:
    """Fold the next quarters that have settled, `most` of them, in one transaction. Returns how many; 0: there is none yet."""
    until = quarter_of((now or timezone.now()) - SETTLING)
    with frontier() as row:
        for number in range(most):
            if not _fold_next(row, until):
                return number
    return most


def _fold_next(row: StatFrontier, until: datetime) -> bool:
    """Fold the next quarter in which something happened. Returns False where there is none yet."""
    behind = EventDelivery.objects.filter(id__gte=row.first_id).order_by("id").values_list("id", flat=True)
    first = behind.first()
    start = quarter_of(recorded_at(first)) if first else until
    if start >= until:
        if row.folded_until < until:
            _move(row, until)
        return False
    _count(start)
    _note_unsettled(start)
    sum_up(start)
    _move(row, start + QUARTER)
    return True


def _move(row: StatFrontier, until: datetime) -> None:
    """Note how far everything is folded."""
    row.folded_until, row.first_id = until, first_id_at(until)
    row.save()


def _count(start: datetime, integration_id: int | None = None) -> None:
    """Count a quarter (of one integration only, if given) from its rows."""
    only, values = ("AND integration_id = %s", [integration_id]) if integration_id else ("", [])
    with connection.cursor() as cursor:
        for counted in (COUNT_KEPT, HANDOVER_KEPT):
            sql = counted.format(**_words(), starts_at=_moment_mark(), only=only)
            cursor.execute(sql, [moment(start), *_ids_of(start), *values])


def _ids_of(start: datetime) -> list[str]:
    """Return the first id of a quarter and of the one behind it."""
    return [db_id(first_id_at(start)), db_id(first_id_at(start + QUARTER))]


def _note_unsettled(start: datetime) -> None:
    """Have the integrations that still have something under way in this quarter counted anew later."""
    with connection.cursor() as cursor:
        cursor.execute(UNSETTLED.format(only=""), _ids_of(start))
        found = [integration_id for (integration_id,) in cursor.fetchall()]
    _mark([(integration_id, start) for integration_id in found], timezone.now() + LOOK_AGAIN)


def sum_up(start: datetime) -> None:
    """Make the sums over a quarter's rows, for each merchant and for everybody."""
    with connection.cursor() as cursor:
        for scope, groups in (("merchant_id", "merchant_id, starts_at, figure"), (str(EVERYBODY), "starts_at, figure")):
            cursor.execute(SUM_UP.format(scope=scope, groups=groups, starts_at=_moment_mark()), [moment(start)])


def _words() -> dict[str, str]:
    """Return what the statements on buckets have in common."""
    return {"into": INTO_BUCKETS, "then": MOVE_TO_GONE, "within": within(), "handed_over": HANDED_OVER}


def within() -> str:
    """Return the bound of seconds within which a delivery `d` was handed over, as this database says it."""
    took = "extract(epoch FROM d.sent_at - d.occurred_at)"
    if connection.vendor != "postgresql":
        took = "(julianday(d.sent_at) - julianday(d.occurred_at)) * 86400"
    return WITHIN.format(took=took)


def _moment_mark() -> str:
    """Return the parameter mark of a moment: PostgreSQL wants to be told its type where no column does."""
    return "%s::timestamptz" if connection.vendor == "postgresql" else "%s"


def disturb(integration_id: int, ids: Iterable[uuid.UUID]) -> None:
    """Have the quarters from the first to the last of these deliveries counted anew for this integration.

    Whoever changes deliveries that are over or held calls this in the transaction of the change.
    """
    ids = sorted(ids)
    if not ids:
        return
    start, last = quarter_of(recorded_at(ids[0])), quarter_of(recorded_at(ids[-1]))
    _mark([(integration_id, start + QUARTER * number) for number in range((last - start) // QUARTER + 1)], timezone.now())


def disturb_all(rows: Iterable[tuple[int, uuid.UUID]]) -> None:
    """Have the quarters of these deliveries, each named with its integration, counted anew."""
    _mark(sorted({(integration_id, quarter_of(recorded_at(key))) for integration_id, key in rows}), timezone.now())


def ends_of(rows: QuerySet[EventDelivery]) -> list[uuid.UUID]:
    """Return the first and the last id of some deliveries, for `disturb`; nothing, where there are none."""
    ids = rows.values_list("id", flat=True)
    first = ids.order_by("id").first()
    last = ids.order_by("-id").first() if first else None
    return [first, last] if first and last else []


def _mark(quarters: list[tuple[int, datetime]], look_at: datetime) -> None:
    """Note quarters to be counted anew. An update, not "do nothing": it waits for whoever counts one of them right now."""
    for number in range(0, len(quarters), MARKS_PER_STATEMENT):
        StatRecount.objects.bulk_create(
            [
                StatRecount(
                    integration_id=integration_id,
                    starts_at=start,
                    first_id=first_id_at(start),
                    next_id=first_id_at(start + QUARTER),
                    look_at=look_at,
                )
                for integration_id, start in quarters[number : number + MARKS_PER_STATEMENT]
            ],
            update_conflicts=True,
            unique_fields=["integration", "starts_at"],
            update_fields=["look_at"],
        )


def recount(now: datetime | None = None) -> int:
    """Count anew what was noted and has settled, each in a transaction of its own. Returns how many were counted."""
    now = now or timezone.now()
    due = StatRecount.objects.filter(look_at__lte=now).order_by("look_at").values_list("pk", flat=True)[:RECOUNTS_PER_FOLD]
    return sum(_recount(pk, now) for pk in due)


def _recount(pk: int, now: datetime) -> bool:
    """Count one integration's quarter anew. Returns False where something in it is still under way, or it is not folded."""
    with frontier() as row:
        mark = StatRecount.objects.select_for_update().filter(pk=pk, look_at__lte=now).first()
        if mark is None:
            return False
        if mark.starts_at < row.folded_until:
            with connection.cursor() as cursor:
                cursor.execute(UNSETTLED.format(only="AND integration_id = %s"), [*_ids_of(mark.starts_at), mark.integration_id])
                if cursor.fetchone() is not None:
                    StatRecount.objects.filter(pk=pk).update(look_at=now + LOOK_AGAIN)
                    return False
                cursor.execute(
                    f"UPDATE events_statbucket SET kept = 0 WHERE starts_at = {_moment_mark()} AND integration_id = %s"  # noqa: S608
                    f" AND figure IN ({FROM_DELIVERIES})",
                    [moment(mark.starts_at), mark.integration_id],
                )
            _count(mark.starts_at, mark.integration_id)
            sum_up(mark.starts_at)
        mark.delete()
    return True


def count_gone(ids: list[uuid.UUID], start: datetime, quarters: Iterable[datetime] = ()) -> None:
    """Add deliveries of one quarter to what is gone. Called under the frontier's lock, in the transaction that deletes them.

    `quarters`: those in which what came back about them was counted as gone just now.
    """
    these, parameter = id_list([str(key) for key in ids])
    with connection.cursor() as cursor:
        for counted in (COUNT_GONE, HANDOVER_GONE):
            sql = counted.format(**_words(), starts_at=_moment_mark(), these=these)
            cursor.execute(sql, [moment(start), parameter])
    for quarter_start in {start, *quarters}:
        sum_up(quarter_start)


def aware(found: datetime | str) -> datetime:
    """Return a moment that a statement of our own returned."""
    at = datetime.fromisoformat(found) if isinstance(found, str) else found
    return at if at.tzinfo else at.replace(tzinfo=UTC)
