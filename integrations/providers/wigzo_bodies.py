"""What Wigzo gets: the bodies of `learn/event` and `learn/identify`, without anything empty.

Facts from the Engage 360 API guide (github.com/lakshaysaini94/apidoc: README.md, engage360-api.yaml). The event's body has
fields for neither email, time nor id, so these travel inside `eventval`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from integrations.providers.base import Event
from integrations.providers.values import e164_or_none, email_or_none

CATEGORY = "EXTERNAL"  # the only value; the guide, the plugin and the shops all send it
SOURCE = "web"  # or "app"
COMMON = {"is_active": True, "source": SOURCE}
DEEPEST = 20  # levels of nesting; what lies deeper is left out


def event_body(event: Event, user_id: str, email: str) -> dict[str, Any]:
    """Return an event. `eventval` is never empty: our own id, time and address are in it, and nothing replaces them."""
    own = {"email": email, "nector_delivery_id": event.delivery_id, "occurred_at": _utc(event.occurred_at)}
    given = _present(event.properties) or {}
    return {
        "eventName": event.name.strip(),
        "eventval": {**own, **given, **own},
        "eventCategory": CATEGORY,
        "userId": user_id,
        **COMMON,
    }


def identify_body(user_id: str, recipient: Mapping[str, Any]) -> dict[str, Any]:
    """Return a contact. What is not known is absent, never empty; consent is Wigzo's own affair and never sent."""
    first, _space, last = str(recipient.get("name") or "").strip().partition(" ")
    texts = {
        "userId": user_id,
        "email": email_or_none(recipient.get("email")),
        "phone": e164_or_none(recipient.get("phone")),
        "firstName": recipient.get("first_name") or first,
        "lastName": recipient.get("last_name") or last,
        "customer_id": recipient.get("customer_id"),
    }
    return {key: text for key, value in texts.items() if (text := str(value or "").strip())} | COMMON


def _utc(moment: datetime) -> str:
    """Return the moment as ISO 8601 in UTC with a `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _present(value: Any, depth: int = 0) -> Any:
    """Return the value as JSON, without nulls, NaN and infinities at any level; None where nothing is left to say."""
    if isinstance(value, Mapping | list | tuple):
        return _nested(value, depth + 1) if depth < DEEPEST else None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):  # a bool is an int
        return value
    return _utc(value) if isinstance(value, datetime) and value.tzinfo else str(value)


def _nested(value: Any, depth: int) -> Any:
    """Return an object or a list without what is absent in it."""
    if isinstance(value, Mapping):
        kept = {str(key): _present(item, depth) for key, item in value.items() if str(key)}
        return {key: item for key, item in kept.items() if item is not None}
    return [item for item in (_present(part, depth) for part in value) if item is not None]
