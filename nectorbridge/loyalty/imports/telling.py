"""What an import announces: as much as the same changes one by one would, and nothing that no event listens to."""

from __future__ import annotations

from collections.abc import Iterable

import events
from events.models import EventDefinition
from events.routes import EARNED, MILESTONE
from integrations.models import Merchant
from nectorbridge.loyalty import announcements
from nectorbridge.loyalty.imports.people import People
from nectorbridge.loyalty.models import WalletTransaction

COINS = (EARNED, "coins_redeemed", "coins_expired")
LEADS = ("lead_create", "lead_update")


def tell(merchant: Merchant, people: People, entries: Iterable[WalletTransaction], is_backfill: bool) -> None:
    """Record what happened, in the caller's transaction. Backfill is written down and starts nothing."""
    heard = _heard(merchant)
    activities: list[events.Activity] = []
    if "lead_create" in heard:
        activities += [announcements.of_new_customer(customer, is_backfill) for customer in people.made]
    if "lead_update" in heard:
        activities += [announcements.of_changed_customer(customer, is_backfill) for customer in people.changed.values()]
    if not heard.isdisjoint(COINS):
        told = (announcements.of_transaction(entry, is_backfill) for entry in entries)
        activities += [activity for activity in told if activity is not None and activity.trigger in heard]
    events.record_many(activities)


def _heard(merchant: Merchant) -> set[str]:
    """Return the triggers of an import of which the merchant made an event that is on; milestones follow from coins earned."""
    mine = EventDefinition.objects.filter(enabled=True, integration__enabled=True, integration__merchant=merchant)
    wanted = mine.filter(trigger__in=(*COINS, *LEADS, MILESTONE)).order_by()
    heard = set(wanted.values_list("trigger", flat=True).distinct())
    return heard | {EARNED} if MILESTONE in heard else heard
