"""The launch checklist: what the product can know by itself, with its evidence, and what only a person can tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from events.lookups import over
from events.models import Contact, ContactStatus, Engagement, EventDefinition, EventDelivery
from events.states import EngagementKind
from integrations.models import Integration, Status

NEWEST_DELIVERIES = 10_000  # among these a click is looked for: a table of millions is not read to its end
FIRST_CONTACTS = 10_000
# What a piece of evidence is about.
INTEGRATION, DEFINITION, DEFINITIONS, NEW_DEFINITION = "integration", "definition", "definitions", "new_definition"
TEST, JOURNEY, DELIVERY = "test", "journey", "delivery"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether a fact holds, why, and where to look: `about` names the page, `pk` whose."""

    holds: bool
    text: str
    about: str = ""
    pk: Any = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the checklist as it stands. `by` and `at` say who ticked it by hand, and when."""

    key: str
    text: str
    done: bool
    is_automatic: bool
    evidence: Evidence | None = None
    by: str = ""
    at: datetime | None = None


def _initialized(integration: Integration) -> Evidence:
    """Tell whether the provider took the credentials, and still does."""
    values = {"provider": integration.label}
    if integration.initialized_at is None:
        return Evidence(False, _("Finish the set-up and click Initialize."), INTEGRATION, integration.pk)
    if integration.status != Status.ACTIVE:
        said = _("It was connected, and cannot send at the moment: %(state)s.") % {"state": integration.get_status_display()}
        return Evidence(False, said, INTEGRATION, integration.pk)
    return Evidence(True, _("%(provider)s took the keys.") % values, INTEGRATION, integration.pk, integration.initialized_at)


def _event_created(integration: Integration) -> Evidence:
    """Tell whether an event is switched on."""
    found = integration.definitions.filter(enabled=True).order_by("pk").first()
    if found is not None:
        return Evidence(True, _("“%(name)s” is switched on.") % {"name": found.name}, DEFINITION, found.pk, found.created_at)
    if integration.definitions.exists():
        return Evidence(False, _("Every event is switched off. Switch one on."), DEFINITIONS, integration.pk)
    return Evidence(False, _("Create the first event."), NEW_DEFINITION, integration.pk)


def _last_seen(integration: Integration) -> EventDefinition | None:
    """Return the event of which the provider last took a test."""
    return integration.definitions.filter(seen_at__isnull=False).order_by("-seen_at").first()


def _test_accepted(integration: Integration) -> Evidence:
    """Tell whether the provider took a test event."""
    seen = _last_seen(integration)
    if seen is not None:
        values = {"provider": integration.label, "name": seen.name}
        return Evidence(True, _("%(provider)s took a test of “%(name)s”.") % values, DEFINITION, seen.pk, seen.seen_at)
    first = integration.definitions.order_by("pk").first()
    if first is None:
        return Evidence(False, _("Create an event, then send a test of it."), NEW_DEFINITION, integration.pk)
    return Evidence(False, _("Send a test event to a customer of your own."), TEST, first.pk)


def _profile_matched(integration: Integration) -> Evidence:
    """Tell whether the provider knows a customer of ours by the common property."""
    first = Contact.objects.filter(integration=integration).order_by("customer_ref").values("pk")[:FIRST_CONTACTS]
    found = Contact.objects.filter(pk__in=first, status=ContactStatus.SYNCED).order_by().first()
    values = {"provider": integration.label}
    if found is not None:
        return Evidence(True, _("%(provider)s took a customer's profile under the common property.") % values, at=found.synced_at)
    seen = _last_seen(integration) if integration.contract.identify_first else None
    if seen is not None:
        return Evidence(True, _("%(provider)s knew the test customer.") % values, DEFINITION, seen.pk, seen.seen_at)
    return Evidence(False, _("It shows once %(provider)s has taken a customer's profile: send a test event.") % values)


def _link_clicked(integration: Integration) -> Evidence:
    """Tell whether a person's click came back about one of the merchant's newest deliveries."""
    sent = over(EventDelivery.objects.filter(merchant=integration.merchant_id))
    newest = sent.order_by("-id").values("pk")[:NEWEST_DELIVERIES]
    found = (
        Engagement.objects.filter(
            delivery__in=newest, delivery__integration=integration, kind=EngagementKind.CLICK, is_machine=False
        )
        .order_by()
        .first()
    )
    if found is not None:
        return Evidence(True, _("A click came back."), DELIVERY, found.delivery_id, found.occurred_at)
    said = _("Put the tracked link into the message, receive it, and click. It shows here then.")
    first = integration.definitions.order_by("pk").first()
    return Evidence(False, said, JOURNEY, first.pk) if first else Evidence(False, said)


def _no_duplicates(integration: Integration) -> Evidence:
    """Explain what is always so."""
    said = _(
        "Handled by Nectorbridge: each activity is recorded once per event. "
        "Where the provider may have got one twice, its delivery says so."
    )
    return Evidence(True, said)


FACTS: Mapping[str, Callable[[Integration], Evidence]] = {
    "initialized": _initialized,
    "event_created": _event_created,
    "test_accepted": _test_accepted,
    "profile_matched": _profile_matched,
    "link_clicked": _link_clicked,
    "no_duplicates": _no_duplicates,
}


def lines(integration: Integration) -> list[Line]:
    """Return the checklist of this integration's provider, as it stands."""
    ticked = integration.checklist if isinstance(integration.checklist, dict) else {}
    found = []
    for item in integration.contract.guide.launch:
        if item.fact:
            evidence = FACTS[item.fact](integration)
            found.append(Line(item.key, str(item.text), evidence.holds, True, evidence, at=evidence.at))
        else:
            hand = ticked.get(item.key)
            who, at = (str(hand.get("by", "")), str(hand.get("at", ""))) if isinstance(hand, dict) else ("", "")
            found.append(Line(item.key, str(item.text), bool(hand), False, None, who, parse_datetime(at)))
    return found


def tick(integration: Integration, key: str, done: bool, by: str) -> bool:
    """Tick a line by hand, or take the tick back. Tells whether there is such a line that a person may tick."""
    if key not in {item.key for item in integration.contract.guide.launch if not item.fact}:
        return False
    with transaction.atomic():
        locked = Integration.objects.select_for_update().only("pk", "checklist").get(pk=integration.pk)
        ticked = dict(locked.checklist or {})
        if done:
            ticked.setdefault(key, {"by": by, "at": timezone.now().isoformat()})
        else:
            ticked.pop(key, None)
        Integration.objects.filter(pk=integration.pk).update(checklist=ticked)
    return True
