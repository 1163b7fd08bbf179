"""Which definitions an activity concerns: everything recording must know, in one query and without model instances."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from events import bell
from events.activity import Activity
from events.destinations import with_utm
from events.host import Consent
from events.payload import business_fields
from events.policy import Policy
from events.sql import hot_cursor
from events.states import Portal, Reason, State
from integrations.models import Status
from integrations.providers import get_provider

# Said in SQL, since it runs at every wallet change: building the same query through the ORM costs more than the query. A row
# comes as one JSON text: the drivers' own reading of some thirty columns costs as much as everything else about it.
ENABLED_DEFINITIONS = """
    SELECT CAST({json_array}(
           d.id, d.trigger, d.name, d.portal, i.id, i.provider, i.common_property, i.status,
           m.id, m.name, m.website, m.coin_name, m.currency, d.stale_after, d.destination, d.adds_utm,
           d.minimum_coins, d.tiers, d.consent_policy, d.cap_count, d.cap_hours, d.quiet_policy, d.threshold, d.close_within,
           m.cap_count, m.cap_hours, m.quiet_from, m.quiet_until, m.timezone,
           EXISTS (SELECT 1 FROM events_suppression s WHERE s.merchant_id = m.id), d.holdout_percent,
           {must_ring}) AS text)
    FROM events_eventdefinition d
    JOIN integrations_integration i ON i.id = d.integration_id
    JOIN integrations_merchant m ON m.id = i.merchant_id
    WHERE d.enabled AND i.enabled AND i.merchant_id = %s AND (d.trigger = %s OR d.trigger = %s)
    ORDER BY d.id
"""
OWN_COLUMNS = 16  # of the route itself; the others are its policy's, but for the last
EARNED, MILESTONE = "walletreward_create", "milestone_reached"  # the balance after the one is what the other is about
NO = Consent.UNSUBSCRIBED.value
SENDABLE = (Status.ACTIVE, Status.INITIALIZING)


@dataclass(frozen=True, slots=True)
class Route:
    """One enabled definition, with what it takes from its integration and merchant."""

    definition_id: int
    trigger: str
    name: str
    portal: str
    integration_id: int
    provider: str
    common_property: str
    status: str
    merchant_id: int
    business_name: str
    website: str
    coin_name: str
    currency: str
    stale_after: int | None
    own_destination: str
    adds_utm: bool
    policy: Policy
    must_ring: bool  # for what is recorded in the transaction in which this was read

    @property
    def destination(self) -> str:
        """Return where a click leads."""
        address = self.own_destination or self.website
        return with_utm(address, self.provider, self.channel, self.name) if self.adds_utm else address

    @property
    def channel(self) -> str:
        """Return the channel on which the provider writes, empty where the journey chooses it."""
        return get_provider(self.provider).channel

    @property
    def business(self) -> dict[str, str]:
        """Return Nector's common fields about the merchant."""
        return _business(self.business_name, self.website, self.coin_name, self.currency)

    def judge(self, activity: Activity) -> tuple[str, str]:
        """Return the state and the reason with which this activity enters the outbox, as far as it says so itself."""
        if self.portal not in (Portal.ALL, activity.portal) or self.policy.leaves_out(activity.properties):
            return State.SKIPPED, Reason.FILTERED
        if activity.is_backfill:
            return State.SKIPPED, Reason.BACKFILL
        if get_provider(self.provider).identity(activity.recipient, self.common_property) is None:
            return State.SKIPPED, Reason.NO_IDENTITY
        said = activity.consent
        if said and NO in said.values() and self.policy.refuses(said, self.channel):
            return State.SKIPPED, Reason.NO_CONSENT
        return (State.QUEUED if self.status in SENDABLE else State.HELD), ""


@lru_cache(maxsize=256)
def _business(name: str, website: str, coin_name: str, currency: str) -> Any:
    """Return the merchant's fields, made once."""
    return business_fields(name, website, coin_name, currency)


def routes(activities: Iterable[Activity]) -> dict[tuple[int, str], list[Route]]:
    """Return the enabled definitions by (merchant, trigger) of these activities; those of milestones come with coins earned."""
    found: dict[tuple[int, str], list[Route]] = {}
    db = connections[DEFAULT_DB_ALIAS]
    must_ring, moments = bell.ring_condition(db)
    statement = _statement(db.vendor, must_ring)
    with hot_cursor(db) as cursor:
        for merchant_id, trigger in {(activity.merchant_id, activity.trigger) for activity in activities}:
            also = MILESTONE if trigger == EARNED else trigger
            cursor.execute(statement, (*moments, merchant_id, trigger, also))
            found[merchant_id, trigger] = [_route(text) for (text,) in cursor.fetchall()]
    return found


@lru_cache(maxsize=4)
def _statement(vendor: str, must_ring: str) -> str:
    """Return the query as this database says it."""
    json_array = "json_array" if vendor == "sqlite" else "json_build_array"
    return ENABLED_DEFINITIONS.format(json_array=json_array, must_ring=must_ring)


@lru_cache(maxsize=4096)
def _route(text: str) -> Route:
    """Return a row as a route. It is found in the database each time; only the object is not made each time."""
    row = json.loads(text)
    return Route(*(*row[:OWN_COLUMNS], Policy(*row[OWN_COLUMNS:-1]), bool(row[-1])))
