"""What CleverTap's webhook campaigns send, in both casings, and its words for setting them up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from integrations.providers import callbacks
from integrations.providers.callbacks import BOUNCE, COMPLAINT, NOTHING, UNSUBSCRIBE, CallbackItem, ComingBack

PEOPLE = ("identity", "email", "phone")
BODY = """{
  "nector_delivery_id": "{{ event.nector_delivery_id }}",
  "email": "{{ profile.email }}",
  "event": "click"
}"""

COMING_BACK = ComingBack(
    steps=(
        _("In CleverTap open Settings > Channels > Webhooks and press + Webhook: a name, the address below, method POST."),
        _("Choose Basic authentication or a custom header, and enter the same value here."),
        _("Save. CleverTap sends a test at once and keeps the webhook only if it is answered: it shows up below as a test."),
        _(
            "Create a Webhook campaign, or a Webhook node in the journey, with the live behaviour Notification Viewed, "
            "Notification Clicked or Channel Unsubscribed, each with the address of its kind."
        ),
    ),
    kinds=("open", "click", "unsubscribe"),
    body=BODY,
    note=_(
        "Within the journey that our event starts, the custom body names our delivery. Elsewhere an open or click is matched by "
        "customer and time, and only where exactly one delivery fits."
    ),
)


def parse(kind: str, body: Any) -> list[CallbackItem]:
    """Read a webhook with profiles; whatever else it is, as the generic form."""
    whole = callbacks.lowered(body)
    if callbacks.is_true(whole.get("is_test")):
        return [CallbackItem(NOTHING, "is_test")]
    if "profiles" not in whole:
        return callbacks.generic(kind, body)
    return [_item(kind, whole, callbacks.lowered(found)) for found in callbacks.objects(body, "profiles")]


def _item(kind: str, whole: Mapping[str, Any], profile: Mapping[str, Any]) -> CallbackItem:
    """Return one profile of a webhook. What names our delivery may stand in several places."""
    properties = callbacks.lowered(profile.get("event_properties")) or callbacks.lowered(whole.get("event_properties"))
    keys = callbacks.lowered(callbacks.lowered(profile.get("payload")).get("kvs")) | callbacks.lowered(whole.get("key_values"))
    everywhere = {**whole, **profile, **keys, **properties}
    word = callbacks.first_text({**whole, **profile, **properties}, ("event", "event_name", "evtname", "eventname"))
    known = profile.get("all_identities")
    others = {f"identity{number}": value for number, value in enumerate(known[:20])} if isinstance(known, list) else {}
    person = {**profile, **others}
    return CallbackItem(
        kind=kind or _kind(word, properties),
        word=word or kind,
        delivery_id=callbacks.first_text(everywhere, (callbacks.DELIVERY_ID,)),
        once=callbacks.first_text(everywhere, ("event_id",)),
        occurred_at=callbacks.first_moment(everywhere, ("ts", "event_time", "timestamp", "occurred_at")),
        people=callbacks.people(person, (*PEOPLE, *others)),
        campaign=callbacks.first_text(properties, ("campaign name", "campaign id", "wzrk_id")),
    )


def _kind(word: str, properties: Mapping[str, Any]) -> str:
    """Return what an event's name stands for; a channel is unsubscribed for several reasons."""
    found = callbacks.kind_of(word)
    if found != UNSUBSCRIBE:
        return found
    why = callbacks.text(properties.get("type")).lower()
    return {"bounced": BOUNCE, "bounce": BOUNCE, "dropped": NOTHING, "spam": COMPLAINT}.get(why, found)
