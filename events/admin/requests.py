"""What leaves for a provider, as pages may show it: packed by the provider's own module, without a single secret."""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from events.excerpts import masked_url
from events.host import HostProfile
from events.models import Call as CallRow
from events.models import Contact, EventDefinition, EventDelivery
from events.trial import known_profile, payload_of, recipient_of
from events.triggers import find
from integrations.models import Integration
from integrations.providers.base import Account, Call, Event, Packed, Profile, Request
from integrations.secrets import MASK

PLACEHOLDER = "YOUR_SECRET"  # in a command that is copied
SAMPLE_ID = uuid.UUID("01900000-0000-7000-8000-000000000001")
SAMPLE_RECIPIENT: dict[str, Any] = {
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

    @property
    def curl(self) -> str:
        """Return it as a command for a shell. Where a secret belongs stands a word to be replaced."""
        words = ["curl", "--request", self.method, self.url]
        for name, value in self.headers.items():
            words += ["--header", f"{name}: {value}"]
        words += ["--data-raw", self.body] if self.body else []
        return shlex.join(words).replace(MASK, PLACEHOLDER)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A call as it was stored: request and answer, and how long it took."""

    request: str
    response: str
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class Preview:
    """The requests of one event, or the sentence that says why there are none."""

    requests: tuple[Shown, ...] = ()
    problem: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)  # of the trigger's own properties, in words


def own_first(trigger_key: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties for people: the trigger's own before those that every event has."""
    trigger = find(trigger_key)
    own = [name for name in properties if trigger and name in trigger.properties]
    return {name: properties[name] for name in (*own, *properties)}


def preview(definition: EventDefinition, now: datetime) -> Preview:
    """Return the exact request of this event with sample values."""
    properties = payload_of(definition, SAMPLE_RECIPIENT, SAMPLE_ID)
    event = Event(str(SAMPLE_ID), definition.name, "10042", SAMPLE_RECIPIENT, properties, now)
    packed, trigger = (
        _packed(definition.integration, event, now, own_first(definition.trigger, properties)),
        find(definition.trigger),
    )
    return replace(packed, types=trigger.types) if trigger else packed


def rehearsal(definition: EventDefinition, customer: HostProfile, now: datetime) -> Preview:
    """Return what a test event to this customer would send, the profile included. Nothing is written."""
    person = recipient_of(customer)
    properties = payload_of(definition, person, SAMPLE_ID)
    profile = known_profile(definition.integration, customer, now)
    event = Event(str(SAMPLE_ID), definition.name, customer.ref, person, properties, now, profile.remote_id)
    return _packed(definition.integration, event, now, properties, profile)


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


def _packed(
    integration: Integration, event: Event, now: datetime, properties: Mapping[str, Any], profile: Profile | None = None
) -> Preview:
    """Pack one event. The account holds masks instead of secrets: they are not even decrypted."""
    try:
        contract = integration.contract
        secrets = {item.name: MASK for item in contract.fields if item.secret}
        account = Account(integration.settings or {}, secrets, integration.common_property)
        before: tuple[Call, ...] = ()
        along = {profile.customer_ref: profile} if profile else {}
        if profile and contract.identify_first:
            before, along = contract.pack_contacts(account, [profile], now).calls, {}
        packed: Packed = contract.pack_events(account, [event], along, now)
    except (LookupError, ValueError, TypeError):
        problem = _("The request can be shown once the set-up is complete: a value is missing or not readable.")
        return Preview(problem=problem, properties=properties)
    shown = tuple(_shown(call.request) for call in (*before, *packed.calls))
    return Preview(shown, "" if packed.calls else "; ".join(packed.skipped.values()), properties)


def _shown(request: Request) -> Shown:
    """Return a request with its secrets masked and its JSON indented."""
    headers = {name: MASK if name in request.secret_headers else value for name, value in request.headers.items()}
    return Shown(request.method, masked_url(request), headers, pretty(request.body.decode(errors="replace")))


def spoken(call: CallRow) -> Spoken:
    """Return a call's stored texts, their JSON indented."""
    return Spoken(_laid_out(call.request), _laid_out(call.response), call.duration_ms)


def _laid_out(text: str) -> str:
    """Return a stored text with its body indented, where that is whole."""
    head, gap, body = text.partition("\n\n")
    return f"{head}{gap}{pretty(body)}"


def pretty(text: str) -> str:
    """Return JSON indented; any other text as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
