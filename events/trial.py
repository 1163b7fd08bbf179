"""A test event: one delivery to one existing customer, marked as a test and left out of every number."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from events import breaker
from events.host import HostProfile, get_host
from events.identifiers import new_id
from events.models import Call, CallKind, Contact, EventDefinition, EventDelivery
from events.payload import activity_fields, business_fields, delivery_fields, freeze
from events.states import State
from events.timeline import span
from events.triggers import find
from integrations.fields import SecretUnreadable
from integrations.models import Integration, Status
from integrations.providers.base import Profile

KEY = "test"
LONGEST_QUERY = 200
MOST_FOUND = 10
CALLS_AROUND = 200  # an identify call is among those just before the event's own
MOST_CALLS = 5


def search(definition: EventDefinition, query: str) -> list[HostProfile]:
    """Return the merchant's customers whom the query may mean."""
    wanted = query.strip()[:LONGEST_QUERY]
    return list(get_host().search_customers(definition.integration.merchant_id, wanted, MOST_FOUND)) if wanted else []


def customer(definition: EventDefinition, ref: str) -> HostProfile | None:
    """Return one customer of the event's merchant, as the host knows them now."""
    if not ref or len(ref) > LONGEST_QUERY:
        return None
    found = get_host().profiles(definition.integration.merchant_id, refs=[ref], limit=1)
    return next((profile for profile in found if profile.ref == ref), None)


def recipient_of(profile: HostProfile) -> dict[str, Any]:
    """Return the person as a delivery freezes them."""
    return {key: freeze(value) for key, value in profile.recipient.items() if value not in (None, "")}


def property_label(integration: Integration) -> str:
    """Return the common property in words, for example “email”."""
    label = str(dict(integration.contract.identities).get(integration.common_property, integration.common_property))
    return label[:1].lower() + label[1:]


def is_identified(integration: Integration, profile: HostProfile) -> bool:
    """Tell whether the provider could know this customer by the common property."""
    return integration.contract.identity(recipient_of(profile), integration.common_property) is not None


def refusal(integration: Integration, now: datetime) -> str:
    """Return why nothing can be sent over this integration now, and what to do; an empty text where it can."""
    values = {"provider": integration.label}
    if integration.status != Status.ACTIVE or not integration.enabled:
        if integration.status == Status.PAUSED:
            return _("%(provider)s is paused. Resume it, then send the test.") % values
        if integration.status == Status.ATTENTION:
            return _("%(provider)s needs attention. Put it right in its set-up, then send the test.") % values
        return _("%(provider)s is not connected. Finish its set-up with Initialize, then send the test.") % values
    if integration.hold_until and integration.hold_until > now:
        values["span"] = span(integration.hold_until - now)
        return _("%(provider)s asked us to wait. Send the test in %(span)s.") % values
    if breaker.state(integration, now) is breaker.State.OPEN and integration.breaker_until:
        values["span"] = span(integration.breaker_until - now)
        return _("%(provider)s does not answer at the moment. Send the test in %(span)s.") % values
    try:
        integration.account()
    except SecretUnreadable:
        return _("The stored keys of %(provider)s cannot be read. Enter them again in its set-up.") % values
    return ""


def known_profile(integration: Integration, profile: HostProfile, now: datetime) -> Profile:
    """Return the customer as the provider's module takes them, with what was pushed before."""
    contact = Contact.objects.filter(integration=integration, customer_ref=profile.ref).first() or Contact()
    own_id = integration.contract.new_remote_id()
    return Profile(
        profile.ref,
        recipient_of(profile),
        contact.pushed_hash,
        tuple(contact.refused or ()),
        now,
        (contact.remote_id or own_id) if own_id else "",
        profile.attributes,
    )


def payload_of(definition: EventDefinition, recipient: dict[str, Any], delivery_id: uuid.UUID) -> dict[str, Any]:
    """Return what the test carries: the trigger's samples, and the customer's own name and ids."""
    merchant = definition.integration.merchant
    business = business_fields(merchant.name, merchant.website, merchant.coin_name, merchant.currency)
    trigger = find(definition.trigger)
    return delivery_fields(activity_fields(business, recipient, trigger.properties if trigger else {}), delivery_id)


def write(definition: EventDefinition, profile: HostProfile, token: str = "") -> EventDelivery:
    """Write the one delivery of a test, also for an event that is switched off.

    `token` is the form's own: posted twice, it makes one delivery.
    """
    key = f"{KEY}:{_uuid(token)}"
    try:
        with transaction.atomic():
            return _written(definition, profile, key)
    except IntegrityError:
        return EventDelivery.objects.get(idempotency_key=key, definition=definition)


def _written(definition: EventDefinition, profile: HostProfile, key: str) -> EventDelivery:
    """Insert the delivery."""
    integration, delivery_id, now = definition.integration, new_id(), timezone.now()
    recipient = recipient_of(profile)
    return EventDelivery.objects.create(
        id=delivery_id,
        definition=definition,
        integration=integration,
        merchant=integration.merchant,
        trigger=definition.trigger,
        event_name=definition.name,
        portal=definition.portal,
        customer_ref=profile.ref,
        recipient=recipient,
        payload=payload_of(definition, recipient, delivery_id),
        destination=definition.leads_to,
        idempotency_key=key,
        is_test=True,
        occurred_at=now,
        created_at=now,
        next_attempt_at=now,
    )


def _uuid(text: str) -> uuid.UUID:
    """Return the id in a text, or a fresh one."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.uuid4()


def note_seen(delivery: EventDelivery) -> bool:
    """Note on the event that its provider took a test. Tells whether it did."""
    if not delivery.is_test or delivery.status != State.SENT:
        return False
    seen_at = delivery.sent_at or timezone.now()
    EventDefinition.objects.filter(pk=delivery.definition_id).exclude(seen_at__gte=seen_at).update(seen_at=seen_at)
    return True


def identify_calls(delivery: EventDelivery) -> list[Call]:
    """Return the calls that pushed a profile between the test's beginning and its own call."""
    rows = Call.objects.filter(integration=delivery.integration_id, kind=CallKind.CONTACT, started_at__gte=delivery.created_at)
    own = delivery.attempts.filter(call__isnull=False).order_by("number").values_list("call_id", flat=True).first()
    if own is None:
        newest = Call.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        rows = rows.filter(pk__gt=newest - CALLS_AROUND)
    else:
        rows = rows.filter(pk__lt=own, pk__gt=own - CALLS_AROUND)
    email = str(delivery.recipient.get("email") or delivery.recipient.get("customer_id") or "").lower()
    return [call for call in rows.order_by("-pk")[:CALLS_AROUND] if email in call.request.lower()][:MOST_CALLS][::-1]
