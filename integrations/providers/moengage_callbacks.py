"""What MoEngage Streams sends: batches of events by code, and its words for setting that up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import callbacks
from integrations.providers.callbacks import (
    BOUNCE,
    CLICK,
    COMPLAINT,
    DELIVERED,
    NOTHING,
    OPEN,
    UNSUBSCRIBE,
    CallbackItem,
    ComingBack,
)

# The codes of the glossary; pages differ, and what is not here is taken by its words.
CODES = {
    "MOE_EMAIL_SENT": NOTHING,
    "MOE_EMAIL_DELIVERED": DELIVERED,
    "MOE_EMAIL_OPEN": OPEN,
    "MOE_EMAIL_CLICK": CLICK,
    "MOE_EMAIL_HARD_BOUNCE": BOUNCE,
    "MOE_EMAIL_SOFT_BOUNCE": BOUNCE,
    "MOE_EMAIL_DROP": NOTHING,
    "MOE_EMAIL_DEFERRED": NOTHING,
    "MOE_EMAIL_UNSUBSCRIBE": UNSUBSCRIBE,
    "MOE_EMAIL_SPAM": COMPLAINT,
    "MOE_EMAIL_SUBSCRIPTION_UPDATED": NOTHING,
    "SMS_SENT": NOTHING,
    "SMS_DELIVERED": DELIVERED,
    "MOE_SMS_CLICKED": CLICK,
    "MOE_WHATSAPP_READ": OPEN,
    "MOE_WHATSAPP_CLICKED": CLICK,
    "MOE_WHATSAPP_DELIVERED": DELIVERED,
    "NOTIFICATION_RECEIVED_MOE": DELIVERED,
    "NOTIFICATION_RECEIVED_WEB_MOE": DELIVERED,
    "N_I_S": NOTHING,
    "NOTIFICATION_CLICKED_MOE": CLICK,
    "NOTIFICATION_CLICKED_IOS_MOE": CLICK,
    "NOTIFICATION_CLICKED_WEB_MOE": CLICK,
    "NOTIFICATION_CLEARED_MOE": NOTHING,
    "MOE_CAMPAIGN_CONTROL_GROUP": NOTHING,
    "MOE_CONNECTOR_SENT": NOTHING,
    "WEBHOOK_SENT": NOTHING,
}
OWN_INITIATIVE = ("ONE_TIME", "PERIODIC", "GENERAL", "BROADCAST")  # campaigns that no event starts
OF_CAMPAIGNS = ("MOE_", "NOTIFICATION_", "SMS_")  # what else bears such a name is of a campaign, and taken by its words

COMING_BACK = ComingBack(
    steps=(
        _("Ask MoEngage support, or your customer success manager, to enable Streams for this workspace: it is an add-on."),
        _("Give them the address below as the endpoint, and an authentication of your choice: Basic, or a header of its own."),
        _("Enter the same value here, so that nobody else can send such events."),
        _("Have the events of email, SMS, WhatsApp and push exported: delivered, opened, clicked, bounced, unsubscribed, spam."),
    ),
    body="",
    note=_(
        "Streams never names our delivery. An open or click is matched by customer and time, and only where exactly one delivery "
        "fits. The tracked link tells more: put it into the message."
    ),
)


def parse(kind: str, body: Any) -> list[CallbackItem]:
    """Read a batch of Streams; whatever else it is, as the generic form."""
    is_streams = isinstance(body, dict) and isinstance(body.get("events"), list)
    return [_item(kind, found) for found in callbacks.objects(body, "events")] if is_streams else callbacks.generic(kind, body)


def _item(kind: str, found: Mapping[str, Any]) -> CallbackItem:
    """Return one event of a batch."""
    attributes, person = callbacks.lowered(found.get("event_attributes")), callbacks.lowered(found.get("user_attributes"))
    code = callbacks.first_text(found, ("event_code", "event_name"))
    mine = callbacks.lowered(found) | {"mobile_number": found.get("mobile_number") or person.get("mobile_number")}
    return CallbackItem(
        kind=kind or _kind(code, attributes),
        word=code,
        delivery_id=callbacks.first_text(attributes, (callbacks.DELIVERY_ID,)) or callbacks.text(mine.get(callbacks.DELIVERY_ID)),
        once=callbacks.text(found.get("event_uuid")),
        occurred_at=callbacks.moment(found.get("event_time")),
        people=callbacks.people(mine, ("uid", "email_id", "mobile_number", "email", "customer_id")),
        campaign=callbacks.first_text(attributes, ("campaign_name", "campaign_id")),
        channel=callbacks.channel_in(code) or callbacks.channel_in(callbacks.text(attributes.get("campaign_channel"))),
        is_foreign=callbacks.text(attributes.get("campaign_type")).upper().replace("-", "_").replace(" ", "_") in OWN_INITIATIVE,
    )


def _kind(code: str, attributes: Mapping[str, Any]) -> str:
    """Return what a code stands for. Our own event, sent back, proves that it arrived and counts as nothing."""
    name = code.upper()
    if name in CODES:
        return CODES[name]
    if attributes.get(callbacks.DELIVERY_ID) and not name.startswith(OF_CAMPAIGNS):
        return NOTHING
    return callbacks.kind_of(code)
