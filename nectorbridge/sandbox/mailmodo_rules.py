"""What Mailmodo takes in an event and in a contact: the first thing wrong with it, in words, or nothing.

Facts from Mailmodo's OpenAPI documents at developers.mailmodo.com and its support article on custom events. That nested values,
times outside the century and unknown fields are refused, and what the refusals say, is our reading.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

EVENT_FIELDS = frozenset(["email", "event_name", "ts", "event_properties"])
CONTACT_FIELDS = frozenset(["email", "data", "created_at", "last_click", "last_open", "timezone"])
BATCH_FIELDS = frozenset(["listName", "values"])
LATEST_SECONDS = 1e11  # beyond, somebody sent milliseconds
BATCH_MAX = 100
EMAIL = re.compile(r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+\Z")
STATIC_PREFIX = "Segment:"  # ours: a list whose name begins so is a static segment, to which nobody can be added
KNOWN_TYPES = {"age": "number", "phone": "string", "name": "string", "first_name": "string", "last_name": "string"}


def event(record: dict[str, Any]) -> str:
    """Return the first thing wrong with an event."""
    if unknown := sorted(record.keys() - EVENT_FIELDS):
        return f"{unknown[0]} is not allowed"
    wrong = _address(record) or _text(record, "event_name")
    if wrong:
        return wrong
    if "ts" in record:
        ts = record["ts"]
        if isinstance(ts, bool) or not isinstance(ts, int | float):
            return "ts must be a number"
        if not 0 < ts < LATEST_SECONDS:
            return "ts must be a UNIX time in seconds"
    return _flat(record, "event_properties")


def contact(record: Any) -> str:
    """Return the first thing wrong with a contact, its list apart."""
    if not isinstance(record, dict):
        return "a contact must be an object"
    if unknown := sorted(record.keys() - CONTACT_FIELDS):
        return f"{unknown[0]} is not allowed"
    return _address(record) or _flat(record, "data")


def list_name(record: dict[str, Any]) -> str:
    """Return what is wrong with the name of the list."""
    return _text(record, "listName")


def batch(record: dict[str, Any]) -> str:
    """Return the first thing that is wrong with a batch as a whole; the contacts are judged one by one."""
    if unknown := sorted(record.keys() - BATCH_FIELDS):
        return f"{unknown[0]} is not allowed"
    values = record.get("values")
    if wrong := list_name(record):
        return wrong
    if not isinstance(values, list) or not values:
        return "values must be a list of contacts"
    if len(values) > BATCH_MAX:
        return f"values must contain at most {BATCH_MAX} contacts"
    emails = Counter(str(value.get("email")).lower() for value in values if isinstance(value, dict))
    twice = next((email for email, times in emails.items() if times > 1), None)
    return f"email should be unique in values. Found duplicates for '{twice}'" if twice else ""


def types_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the type of every property, as Mailmodo keeps it from the first value on."""
    return {key: "boolean" if isinstance(v, bool) else "string" if isinstance(v, str) else "number" for key, v in values.items()}


def _text(record: dict[str, Any], field: str) -> str:
    """Check a text that must not be empty."""
    value = record.get(field)
    if not isinstance(value, str):
        return f"{field} must be a string"
    return "" if value.strip() else f"{field} is not allowed to be empty"


def _address(record: dict[str, Any]) -> str:
    """Check the address: the only identity there is."""
    return _text(record, "email") or ("" if EMAIL.match(record["email"]) else "email must be a valid email")


def _flat(record: dict[str, Any], field: str) -> str:
    """Check that an object of properties is flat, with a value behind every name."""
    values = record.get(field, {})
    if not isinstance(values, dict):
        return f"{field} must be an object"
    for key, value in values.items():
        if not key.strip():
            return f"{field} has a property without a name"
        if not isinstance(value, str | int | float):
            return f"{field}.{key} must be a string, a number or a boolean"
    return ""
