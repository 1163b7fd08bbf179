"""What leaves for a provider, as pages may show it: packed by the provider's own module, without a single secret."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from events.excerpts import masked_url
from events.models import Contact, EventDefinition, EventDelivery
from events.payload import activity_fields, business_fields, delivery_fields
from events.triggers import CATALOGUE
from integrations.models import Integration
from integrations.providers.base import Account, Event, Packed, Request
from integrations.secrets import MASK

SAMPLE_ID = uuid.UUID("01900000-0000-7000-8000-000000000001")
SAMPLE_RECIPIENT = {
    "customer_id": "10042",
    "email": "asha@example.com",
    "phone": "+919876543210",
    "name": "Asha Rao",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One request as text."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The requests of one event, or the sentence that says why there are none."""

    requests: tuple[Shown, ...] = ()
    problem: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)


def preview(definition: EventDefinition, now: datetime) -> Preview:
    """Return the exact request of this event with sample values."""
    merchant = definition.integration.merchant
    business = business_fields(merchant.name, merchant.website, merchant.coin_name, merchant.currency)
    trigger = CATALOGUE.get(definition.trigger)
    shared = activity_fields(business, SAMPLE_RECIPIENT, trigger.properties if trigger else {})
    properties = delivery_fields(shared, SAMPLE_ID)
    event = Event(str(SAMPLE_ID), definition.name, "10042", SAMPLE_RECIPIENT, properties, now)
    return _packed(definition.integration, event, now, properties)


def repacked(delivery: EventDelivery, now: datetime) -> Preview:
    """Return this delivery's own request, packed again from what was frozen."""
    contact = Contact.objects.filter(integration_id=delivery.integration_id, customer_ref=delivery.customer_ref)
    event = Event(
        str(delivery.pk),
        delivery.event_name,
        delivery.customer_ref,
        delivery.recipient,
        delivery.payload,
        delivery.occurred_at,
        contact.values_list("remote_id", flat=True).first() or "",
    )
    return _packed(delivery.integration, event, now, delivery.payload)


def _packed(integration: Integration, event: Event, now: datetime, properties: Mapping[str, Any]) -> Preview:
    """Pack one event. The account holds masks instead of secrets: they are not even decrypted."""
    try:
        contract = integration.contract
        secrets = {item.name: MASK for item in contract.fields if item.secret}
        account = Account(integration.settings or {}, secrets, integration.common_property)
        packed: Packed = contract.pack_events(account, [event], {}, now)
    except (LookupError, ValueError, TypeError):
        problem = _("The request can be shown once the set-up is complete: a value is missing or not readable.")
        return Preview(problem=problem, properties=properties)
    shown = tuple(_shown(call.request) for call in packed.calls)
    return Preview(shown, "" if shown else "; ".join(packed.skipped.values()), properties)


def _shown(request: Request) -> Shown:
    """Return a request with its secrets masked and its JSON indented."""
    headers = {name: MASK if name in request.secret_headers else value for name, value in request.headers.items()}
    return Shown(request.method, masked_url(request), headers, pretty(request.body.decode(errors="replace")))


def pretty(text: str) -> str:
    """Return JSON indented; any other text as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
