"""Recording activities: one delivery per enabled definition, in the caller's transaction, once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from events import tallies
from events.activity import LONGEST_KEY, Activity
from events.bell import ring_after_commit
from events.guards import Candidate, guard
from events.identifiers import new_id
from events.models import EventDelivery
from events.payload import activity_fields, delivery_fields, freeze
from events.routes import MILESTONE, Route, routes
from events.sql import insert_new, made
from events.staleness import earlier, own_end, why
from events.states import Reason, State
from integrations.kept_words import kept

LONGEST_STORED_KEY = 255


def record(activity: Activity) -> list[EventDelivery]:
    """Write the activity's deliveries and return them. Recorded again, it returns the existing ones and adds none.

    It joins the caller's transaction: a rollback leaves no trace and sends nothing. What is sent is frozen here.
    """
    return record_many([activity])


@kept()
def record_many(activities: Iterable[Activity]) -> list[EventDelivery]:
    """Record many activities with a handful of statements. Returns all their deliveries, in the order given."""
    activities = list(activities)
    if not activities:
        return []
    with transaction.atomic(savepoint=False):
        found = routes(activities)
        candidates = [
            candidate
            for activity in activities
            for candidate in _candidates(activity, found.get((activity.merchant_id, activity.trigger), []))
        ]
        by_key = {candidate.row.idempotency_key: candidate for candidate in reversed(candidates)}  # named twice in one list: once
        candidates = list(by_key.values())[::-1]
        guard(candidates)
        rung = {candidate.route.integration_id for candidate in candidates if not candidate.route.must_ring}
        return _written([candidate.row for candidate in candidates], rung)


def _written(built: list[EventDelivery], rung: set[int]) -> list[EventDelivery]:
    """Write the rows, ring for those that may leave, count those that are left out. Returns the rows as they exist.

    `rung`: integrations whose drain has yet to begin, and will find these rows.
    """
    new = insert_new(built, conflict="idempotency_key")
    deliveries = built if len(new) == len(built) else _with_existing(built, new)
    mine = [row for row in deliveries if row.pk in new]
    for integration_id in {row.integration_id for row in mine if row.status == State.QUEUED and not row.reason} - rung:
        ring_after_commit(integration_id)
    tallies.add_skipped((row.integration_id, row.reason) for row in mine if row.status == State.SKIPPED)
    return deliveries


def _candidates(activity: Activity, found: list[Route]) -> list[Candidate]:
    """Return the activity's rows, not yet written, with what they are made of."""
    if not found:
        return []
    now = timezone.now()
    recipient = {key: freeze(value) for key, value in activity.recipient.items() if value not in (None, "")}
    shared = activity_fields(found[0].business, recipient, activity.properties)
    end = None if activity.is_test else own_end(activity.trigger, shared)
    candidates = []
    for route in found:
        if activity.definition_ids and route.definition_id not in activity.definition_ids:
            continue
        if route.trigger != activity.trigger:
            candidates += _milestones(activity, route)
        else:
            candidates.append(Candidate(_row(activity, route, recipient, shared, end, now), route, activity))
    return candidates


def _row(
    activity: Activity,
    route: Route,
    recipient: dict[str, Any],
    shared: dict[str, Any],
    end: datetime | None,
    now: datetime,
) -> EventDelivery:
    """Return one definition's delivery of an activity, with the state that the activity itself leads to."""
    status, reason = route.judge(activity)
    expires_at, detail = None if activity.is_test else earlier(end, route.stale_after, activity.occurred_at), ""
    if expires_at is not None and expires_at <= now and status != State.SKIPPED:
        status, reason, detail = State.SKIPPED, Reason.STALE, why(activity.trigger, shared, expires_at)
    delivery_id = new_id()
    return made(
        EventDelivery,
        id=delivery_id,
        definition_id=route.definition_id,
        integration_id=route.integration_id,
        merchant_id=route.merchant_id,
        trigger=activity.trigger,
        event_name=route.name,
        portal=activity.portal,
        customer_ref=activity.customer_ref,
        recipient=recipient,
        payload=delivery_fields(shared, delivery_id),
        destination=route.destination,
        idempotency_key=_key(route, activity),
        subject=activity.subject,
        status=status,
        reason=reason,
        detail=detail,
        is_test=activity.is_test,
        is_backfill=activity.is_backfill,
        next_attempt_at=None if status == State.SKIPPED else now,
        expires_at=expires_at,
        occurred_at=activity.occurred_at,
        created_at=now,
    )


def _milestones(activity: Activity, route: Route) -> list[Candidate]:
    """Return the delivery of a milestone that these coins brought the customer to; none where they did not."""
    coins, balance = activity.properties.get("coins"), activity.properties.get("balance")
    missing = route.policy.milestone(coins, balance)
    if missing is None or len(key := f"{MILESTONE}:{activity.key}") > LONGEST_KEY:
        return []
    news = {"coins": coins, "balance": balance, "milestone": route.policy.threshold, "coins_to_go": missing}
    person = {name: value for name, value in activity.properties.items() if name.startswith("user_")}
    return _candidates(replace(activity, trigger=MILESTONE, properties=news | person, key=key, subject=""), [route])


def _key(route: Route, activity: Activity) -> str:
    """Return what makes a delivery unique: this definition, this activity."""
    key = f"{route.definition_id}:{activity.key}"
    return key if len(key) <= LONGEST_STORED_KEY else f"{route.definition_id}:{hashlib.sha256(activity.key.encode()).hexdigest()}"


def _with_existing(built: list[EventDelivery], new: set) -> list[EventDelivery]:
    """Return the rows that exist, where some were recorded before.

    An activity of which any delivery exists is a repetition: definitions that were added since get nothing of it.
    """
    stored = {
        row.idempotency_key: row
        for row in EventDelivery.objects.filter(idempotency_key__in=[row.idempotency_key for row in built])
    }
    repeated = {_activity_of(row) for row in built if row.pk not in new}
    unwanted = {row.pk for row in built if row.pk in new and _activity_of(row) in repeated}
    if unwanted:
        EventDelivery.objects.filter(pk__in=unwanted).delete()
        new -= unwanted
    kept = (row if row.pk in new else stored[row.idempotency_key] for row in built if row.pk not in unwanted)
    return list({row.pk: row for row in kept}.values())


def _activity_of(row: EventDelivery) -> tuple[int, str]:
    """Return merchant and activity key of a row; a milestone belongs to the coins that led there."""
    return row.merchant_id, row.idempotency_key.partition(":")[2].removeprefix(f"{MILESTONE}:")
