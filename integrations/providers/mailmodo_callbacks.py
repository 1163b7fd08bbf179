"""What Mailmodo's journey webhook cards and form webhooks send, and its words for setting them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import callbacks
from integrations.providers.callbacks import CallbackItem, ComingBack

COMING_BACK = ComingBack(
    steps=(
        _("Open the journey in Mailmodo, and add a Webhook card behind each condition you want to know of: opened, clicked ..."),
        _("Choose POST, and paste the address of that kind. It holds a secret: Mailmodo can send no header of your own."),
        _("Do the same behind the condition for unsubscribed or marked as spam, so that consent follows at once."),
        _("Publish the journey. The first callback shows up below."),
    ),
    kinds=("open", "click", "unsubscribe", "complaint", "bounce", "delivered"),
    body="",
    note=_("The card sends our event's properties along, so the delivery is known by its own id."),
)


def parse(kind: str, body: Any) -> list[CallbackItem]:
    """Read a card or a form; whatever else it is, as the generic form."""
    found = callbacks.lowered(body)
    if isinstance(found.get("triggerdata"), dict):
        return [_card(kind, found, callbacks.lowered(found["triggerdata"]))]
    if "recipientemail" in found or isinstance(found.get("recipientdata"), dict):
        return [_form(kind, found)]
    return [_with_proxy(item, found) for item in callbacks.generic(kind, body)]


def _card(kind: str, whole: Mapping[str, Any], trigger: Mapping[str, Any]) -> CallbackItem:
    """Return what a journey's card says. Every value may be a text."""
    properties, event = callbacks.lowered(trigger.get("eventproperty")), callbacks.lowered(whole.get("eventdata"))
    word = callbacks.first_text({**whole, **event}, ("event", "event_name", "kind", "type"))
    return CallbackItem(
        kind=kind or callbacks.kind_of(word),
        word=word or kind,
        delivery_id=callbacks.first_text({**trigger, **properties}, (callbacks.DELIVERY_ID,)),
        once=callbacks.first_text(event, ("id", "event_id")),
        occurred_at=callbacks.first_moment({**whole, **event}, ("timestamp", "occurred_at", "created_at", "ts")),
        people=callbacks.people(trigger, ("email", "userid")),
        campaign=callbacks.first_text(whole, ("lastcampaignid", "campaignid", "campaignname")),
        is_machine=callbacks.is_true(whole.get("apple_privacy_open")) or callbacks.is_true(event.get("apple_privacy_open")),
    )


def _form(kind: str, whole: Mapping[str, Any]) -> CallbackItem:
    """Return what a form within a message says: somebody answered it, which the address may count as a click."""
    person, at = callbacks.lowered(whole.get("recipientdata")), callbacks.lowered(whole.get("recordedat"))
    return CallbackItem(
        kind=kind or callbacks.UNKNOWN,
        word="form",
        delivery_id=callbacks.first_text({**whole, **person}, (callbacks.DELIVERY_ID,)),
        once=callbacks.text(whole.get("responseid")),
        occurred_at=callbacks.moment(at.get("ts")),
        people=callbacks.people({**whole, **person}, ("recipientemail", "email")),
        campaign=callbacks.first_text(whole, ("campaignname", "campaignid")),
    )


def _with_proxy(item: CallbackItem, found: Mapping[str, Any]) -> CallbackItem:
    """Return an item as a machine's where Apple's proxy is said to have opened it."""
    return replace(item, is_machine=True) if callbacks.is_true(found.get("apple_privacy_open")) else item
