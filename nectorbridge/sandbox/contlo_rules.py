"""What Contlo takes in an event and in a contact: the first thing wrong with it, in words, or nothing.

Facts from developer.contlo.com (reference/track-api-1, reference/user-profiles, reference/recording-customer-purchases-),
docs.contlo.com/docs/message-events and Contlo's public SDKs. Whether Contlo takes nested data, empty texts or fields of the
mobile SDKs from a backend is not known; refusing them is our reading.
"""

from __future__ import annotations

import re
from typing import Any

EVENT_FIELDS = frozenset(["event", "email", "phone_number", "properties", "profile_properties", "external_id"])
CONTACT_TEXTS = frozenset(["first_name", "last_name", "email", "phone_number", "city", "country", "zip"])
CONTACT_FIELDS = CONTACT_TEXTS | {"custom_properties"}
EMAIL = re.compile(r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+\Z")
PHONE = re.compile(r"^\+[1-9]\d{6,14}\Z")
OURS_TIME = re.compile(r"^nector_\w+_(at|as_of)\Z")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
MESSAGE_EVENTS = {
    "Email": "Sent Delivered Opened Clicked Bounced Complained Unsubscribed",
    "SMS": "Sent Clicked Failed Unsubscribed",
    "WhatsApp": "Sent Opened Clicked Unsubscribed",
    "Push": "Clicked Closed",
    "Mobile Push": "Sent Received Clicked Dismissed",
}
RESERVED = frozenset(f"{kind} {what}".replace(" ", "_").lower() for kind, ends in MESSAGE_EVENTS.items() for what in ends.split())
RESERVED_TYPES = frozenset(["system", "custom", "Charged"])


def event(record: dict[str, Any]) -> str:
    """Return the first thing wrong with an event."""
    if unknown := sorted(record.keys() - EVENT_FIELDS):
        return f"Unknown field {unknown[0]}"
    name = record.get("event")
    if not isinstance(name, str) or not name:
        return "Event name cannot be empty"
    if re.search(r"\s", name):
        return "Event name cannot have spaces"
    if name.lower() == "charged" or name.lower() in RESERVED:
        return f"Event name {name} is reserved"
    wrong = _person(record) or _flat(record, "properties") or _flat(record, "profile_properties")
    if not wrong and (record.get("properties") or {}).get("event_type") in RESERVED_TYPES:
        return "event_type is reserved"
    return wrong


def contact(record: dict[str, Any]) -> str:
    """Return the first thing wrong with a contact."""
    if unknown := sorted(record.keys() - CONTACT_FIELDS):
        return f"Unknown field {unknown[0]}"
    for name in sorted(CONTACT_TEXTS & record.keys()):
        if not isinstance(record[name], str | None) or record[name] == "":
            return f"{name} should be a text that is not empty"
    return _person(record) or _flat(record, "custom_properties")


def _person(record: dict[str, Any]) -> str:
    """Check email and phone: one of them is mandatory, absent (or null) is not the same as empty."""
    email, phone = record.get("email"), record.get("phone_number")
    if email is None and phone is None:
        return "email or phone_number is required"
    if email is not None and not (isinstance(email, str) and EMAIL.match(email)):
        return "email is not valid"
    if phone is not None and not (isinstance(phone, str) and PHONE.match(phone)):
        return "phone_number is not valid"
    return ""


def _flat(record: dict[str, Any], field: str) -> str:
    """Check that an object of properties is flat, with a value behind every name."""
    values = record.get(field, {})
    if not isinstance(values, dict):
        return f"{field} should be an object"
    for key, value in values.items():
        if not key.strip():
            return f"{field} has a property without a name"
        if not isinstance(value, str | int | float):
            return f"{field}.{key} should be a text or a number"
        if OURS_TIME.search(key) and not (isinstance(value, str) and TIME.match(value)):
            return f"{field}.{key} should be a time in UTC"
    return ""
