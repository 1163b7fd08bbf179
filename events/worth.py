"""What an event was worth: what customers did who got it, beside what those did who were held out.

Everybody is counted once, by the first time in the period, and only once their time to act is over. Who was both sent to and
held out (the share was changed, or two customers became one) is in neither group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.utils.dateparse import parse_datetime

from events import lift
from events.host import Exposure, Host, Outcome, get_host
from events.identifiers import first_id_at
from events.lift import Lift, Sample, Verdict
from events.lookups import in_state
from events.models import Engagement, EventDefinition, EventDelivery
from events.sql import in_parts
from events.states import FINAL_STATES, EngagementKind, Reason, State
from events.worth_measures import EXPIRING_COINS, Measure, measures_of

REFS_AT_A_TIME = 1000
LATEST = timedelta(days=30)  # after it was recorded something may still be sent and counted
MOST_CUSTOMERS = 200_000  # a group; of more, those count who were first
UNWANTED = (EngagementKind.UNSUBSCRIBE, EngagementKind.COMPLAINT)


@dataclass(slots=True)
class Group:
    """The customers who were sent to, or those who were held out, and what came of them."""

    size: int = 0  # whose time is over; the figures are about them
    still_open: int = 0
    unknown: int = 0  # the host knows nothing of them (any more)
    hits: Counter[str] = field(default_factory=Counter)
    revenue: Decimal = Decimal(0)
    squares: float = 0.0  # of the customers' revenue
    coins_named: int = 0
    coins_spent: int = 0
    is_cut: bool = False

    @property
    def sample(self) -> Sample:
        """Return the revenue as it is compared."""
        return Sample(self.size, float(self.revenue), self.squares)

    def add(self, exposure: Exposure, outcome: Outcome, has_said_no: bool) -> None:
        """Count one customer."""
        self.size += 1
        self.hits["ordered"] += outcome.has_ordered
        self.hits["coupon"] += outcome.has_used_coupon
        self.hits["no"] += outcome.has_opted_out or has_said_no
        self.hits["referral"] += outcome.has_completed_referral
        self.hits["review"] += outcome.has_written_review
        self.hits["coins"] += outcome.coins_spent > 0
        self.revenue += outcome.revenue
        self.squares += float(outcome.revenue) ** 2
        self.coins_named += exposure.coins
        self.coins_spent += outcome.coins_spent


@dataclass(frozen=True, slots=True)
class Row:
    """One measure: both groups' figures, and what telling them apart gives."""

    measure: Measure
    found: Lift | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Report:
    """What one event was worth in a period, read `window` after each customer's first time."""

    exposed: Group
    held_out: Group
    both: int  # customers who were sent to and held out, and are in neither group
    rows: tuple[Row, ...]
    since: datetime  # when counting began: with the period, or when the share was changed within it
    is_later: bool  # the latter


def report(definition: EventDefinition, since: datetime, until: datetime, window: timedelta, now: datetime) -> Report:
    """Return what an event was worth from `since` until before `until`, as far as can be told now."""
    changed = definition.holdout_since if definition.holdout_percent else None
    is_later = changed is not None and since < changed < until
    begin = changed if is_later and changed is not None else since
    merchant_id, host = definition.integration.merchant_id, get_host()
    sent, held = (_as_they_are_now(rows, merchant_id, host) for rows in _firsts(definition, begin, until, window))
    both = set(sent.people) & set(held.people)
    groups = [_judged(found, both, definition, host, now) for found in (sent, held)]
    rows = tuple(_row(measure, *groups) for measure in measures_of(definition.trigger))
    return Report(groups[0], groups[1], len(both), rows, begin, is_later)


# --- Who ---------------------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Found:
    """Customers by reference, each with their first time; and the former references of those who were merged since."""

    people: dict[str, Exposure]
    formers: dict[str, list[str]] = field(default_factory=dict)
    is_cut: bool = False


def _firsts(definition: EventDefinition, since: datetime, until: datetime, window: timedelta) -> Iterator[_Found]:
    """Yield who was sent to, then who was held out, each with their first time in the period."""
    rows = EventDelivery.objects.filter(definition=definition, is_test=False, is_backfill=False).order_by("id")
    sent = rows.filter(id__gte=first_id_at(since - LATEST), id__lt=first_id_at(until), sent_at__gte=since, sent_at__lt=until)
    yield _read(in_state(sent, State.SENT, FINAL_STATES), "sent_at", definition, window)
    held = rows.filter(id__gte=first_id_at(since), id__lt=first_id_at(until), reason=Reason.HOLDOUT)
    yield _read(in_state(held, State.SKIPPED, FINAL_STATES), "created_at", definition, window)


def _read(rows: QuerySet[EventDelivery], moment: str, definition: EventDefinition, window: timedelta) -> _Found:
    """Return the customers of these rows, each with their first time."""
    found = _Found({})
    named = [KT("payload__coins"), KT("payload__expires_at")] if definition.trigger == EXPIRING_COINS else []
    columns = rows.values_list("customer_ref", moment, "idempotency_key", *named)
    for ref, when, key, *what in columns.iterator(chunk_size=5000):
        known = found.people.get(ref)
        if known is not None and known.since <= when:
            continue
        if known is None and len(found.people) >= MOST_CUSTOMERS:
            found.is_cut = True
            continue
        found.people[ref] = Exposure(ref, when, when + window, key.partition(":")[2], *_coins(*what))
    return found


def _coins(coins: Any = None, ends_at: Any = None) -> tuple[int, datetime | None]:
    """Return how many coins a reminder named, and until when they were good."""
    text, moment = str(coins or ""), parse_datetime(str(ends_at)) if ends_at else None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0), moment


def _as_they_are_now(found: _Found, merchant_id: int, host: Host) -> _Found:
    """Return the same with those who were merged as the one they are now, counted once."""
    for part in in_parts(list(found.people), REFS_AT_A_TIME):
        resolved = host.resolve_refs(merchant_id, part)
        for former, now in ((ref, now) for ref, now in resolved.items() if now != ref):
            moved = replace(found.people.pop(former), ref=now)
            found.formers.setdefault(now, []).append(former)
            known = found.people.get(now)
            found.people[now] = moved if known is None or moved.since < known.since else known
    return found


# --- What they did -------------------------------------------------------------------------------------------------------
def _judged(found: _Found, both: set[str], definition: EventDefinition, host: Host, now: datetime) -> Group:
    """Return a group with what its customers did, asked for in parts, neighbours in time together."""
    group, merchant_id = Group(is_cut=found.is_cut), definition.integration.merchant_id
    mine = [exposure for ref, exposure in found.people.items() if ref not in both]
    over = sorted((exposure for exposure in mine if exposure.until <= now), key=lambda exposure: exposure.since)
    group.still_open = len(mine) - len(over)
    for start in range(0, len(over), REFS_AT_A_TIME):
        part = over[start : start + REFS_AT_A_TIME]
        outcomes, no = host.outcomes(merchant_id, definition.trigger, part), _said_no(merchant_id, part, found.formers)
        for exposure in part:
            if (outcome := outcomes.get(exposure.ref)) is None:
                group.unknown += 1
            else:
                group.add(exposure, outcome, exposure.ref in no)
    return group


def _said_no(merchant_id: int, exposures: Sequence[Exposure], formers: Mapping[str, Iterable[str]]) -> set[str]:
    """Return who, within their own time, unsubscribed from or complained of anything that the merchant sent them."""
    by_ref = {ref: item for item in exposures for ref in (item.ref, *formers.get(item.ref, ()))}
    rows = Engagement.objects.filter(
        kind__in=UNWANTED,
        is_machine=False,
        occurred_at__gt=min(item.since for item in exposures),
        occurred_at__lte=max(item.until for item in exposures),
        delivery__merchant=merchant_id,
        delivery__customer_ref__in=list(by_ref),
    )
    told = rows.order_by().values_list("delivery__customer_ref", "occurred_at")
    return {by_ref[ref].ref for ref, when in told if by_ref[ref].since < when <= by_ref[ref].until}


def _row(measure: Measure, exposed: Group, held_out: Group) -> Row:
    """Return one measure, compared."""
    if measure.is_money:
        found = lift.of_means(exposed.sample, held_out.sample)
    else:
        hits = exposed.hits[measure.key], held_out.hits[measure.key]
        found = lift.of_rates(hits[0], exposed.size, hits[1], held_out.size)
    return Row(measure, found, found.verdict(exposed.size, held_out.size) if found else Verdict.NONE)
