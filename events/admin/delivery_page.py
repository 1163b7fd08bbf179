"""What the page of one delivery shows, as values: the template only lays them out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone

from events.admin.base import link, local
from events.admin.look import LOOK
from events.admin.requests import repacked
from events.lookups import of_customer, within
from events.models import Engagement, EventDelivery
from events.states import Portal, State
from events.timeline import resends, timeline

NEIGHBOURS = 10
ENGAGEMENTS = 20


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another delivery: of the same customer, or the one that this one repeats."""

    url: str
    delivery: EventDelivery
    tone: str
    icon: str
    when: str = ""


def delivery_context(delivery: EventDelivery) -> dict[str, Any]:
    """Return everything the page needs."""
    now = timezone.now()
    attempts = list(delivery.attempts.select_related("call").order_by("number"))
    tone, icon = LOOK.get(delivery.status, ("", "help"))
    person = delivery.recipient if isinstance(delivery.recipient, dict) else {}
    return {
        "delivery": delivery,
        "zone": delivery.merchant.timezone,
        "state_tone": tone,
        "state_icon": icon,
        "state_label": State(delivery.status).label if delivery.status in State.values else delivery.status,
        "person": person,
        "resends": budget(delivery),
        "customer_name": customer_name(delivery),
        "portal": dict(Portal.choices).get(delivery.portal, delivery.portal) if delivery.portal != Portal.ALL else "",
        "moments": timeline(delivery, attempts, now, engagements(delivery)),
        "payload_rows": sorted(delivery.payload.items()) if isinstance(delivery.payload, dict) else [],
        "payload_json": json.dumps(delivery.payload, indent=2, ensure_ascii=False, default=str),
        "repacked": repacked(delivery, now),
        "neighbours": neighbours(delivery),
        "replay_of": replayed(delivery),
        "replays": replays(delivery),
        "integration_url": link("integrations_integration_change", delivery.integration_id),
        "definition_url": link("events_eventdefinition_change", delivery.definition_id),
        "customer_deliveries_url": customer_deliveries(delivery.merchant_id, delivery.customer_ref),
    }


def budget(delivery: EventDelivery) -> str:
    """Return how often it is sent again without an answer, where that matters: the event says so, or it has come to that."""
    own = delivery.definition.uncertain_resends
    return resends(own) if own is not None or delivery.uncertain_count else ""


def customer_name(delivery: EventDelivery) -> str:
    """Return the customer's name, email, mobile number or id: the first there is."""
    person = delivery.recipient if isinstance(delivery.recipient, dict) else {}
    return next((str(person[key]) for key in ("name", "email", "phone", "customer_id") if person.get(key)), delivery.customer_ref)


def engagements(delivery: EventDelivery) -> list[Engagement]:
    """Return the first things that came back about the delivery; a message may be opened without end."""
    return list(delivery.engagements.order_by("occurred_at", "pk")[:ENGAGEMENTS])


def customer_deliveries(merchant_id: int, *customer_refs: str) -> str:
    """Return the address of the list of everything of one customer, under any of their references: an indexed lookup."""
    whose = urlencode([("merchant__id__exact", merchant_id), *(("customer_ref__exact", ref) for ref in customer_refs)])
    return link("events_eventdelivery_changelist", query=whose)


def neighbours(delivery: EventDelivery) -> list[Neighbour]:
    """Return the last deliveries to the same customer of the same merchant, without this one."""
    others = EventDelivery.objects.exclude(pk=delivery.pk).select_related("integration").defer("payload", "recipient")
    rows = of_customer(others, delivery.merchant_id, delivery.customer_ref)[:NEIGHBOURS]
    return [Neighbour(link("events_eventdelivery_change", row.pk), row, *LOOK.get(row.status, ("", "help"))) for row in rows]


def replayed(delivery: EventDelivery) -> Neighbour | None:
    """Return the delivery that this one repeats, as long as it is kept; never one of another merchant."""
    if delivery.replay_of_id is None:
        return None
    rows = EventDelivery.objects.filter(pk=delivery.replay_of_id, merchant=delivery.merchant_id)
    row = rows.defer("payload", "recipient").first()
    return _linked(row, delivery) if row else None


def replays(delivery: EventDelivery) -> list[Neighbour]:
    """Return the last deliveries that repeat this one."""
    rows = within(EventDelivery.objects.filter(replay_of=delivery.pk), [delivery.merchant_id]).defer("payload", "recipient")
    return [_linked(row, delivery) for row in rows.order_by("-id")[:NEIGHBOURS]]


def _linked(row: EventDelivery, delivery: EventDelivery) -> Neighbour:
    """Return a delivery as a link that says when it was recorded."""
    when = local(row.created_at, delivery.merchant.timezone)
    return Neighbour(link("events_eventdelivery_change", row.pk), row, *LOOK.get(row.status, ("", "help")), when)
