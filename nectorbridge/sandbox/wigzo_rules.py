"""What Wigzo takes in an event and in a contact: the first thing wrong with it, in words, or nothing.

Facts from the Engage 360 API guide and OpenAPI (github.com/lakshaysaini94/apidoc), the names also from Wigzo's plugin
(github.com/common-repository/wigzo) and SDKs (github.com/pleomax00/wigzosdks). That unknown fields, empty texts, nulls and
users who were never identified are refused is our reading.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Any

EVENT_FIELDS = frozenset(["eventName", "eventval", "eventCategory", "userId", "is_active", "source"])
CONTACT_NAMES = """
userId email phone firstName lastName fullName customer_id postal_code city state country country_code createdAt updatedAt
"""
CONTACT_TEXTS = frozenset(CONTACT_NAMES.split())
CONTACT_FIELDS = CONTACT_TEXTS | {"is_active", "source"}
UUID4 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z", re.IGNORECASE)
EMAIL = re.compile(r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+\Z")
PHONE = re.compile(r"^\+[1-9]\d{6,14}\Z")
DAY = re.compile(r"^\d{4}-\d\d-\d\d")
DEEPEST = 50  # levels; our own bound
SOURCES = ("web", "app")
OWN_NAMES = """
product_view order_completed checkout_started cart_value addtocart removedfromcart addtowishlist wishlist addtoplaylist
buy order checkout view search review registered loggedin loggedout share like rate book item join listen watch watchlater
other identify index
"""
RESERVED = frozenset(OWN_NAMES.split())


def event(record: dict[str, Any], identified: Set[str]) -> str:
    """Return the first thing wrong with an event; `identified` are the users that are known."""
    if unknown := sorted(record.keys() - EVENT_FIELDS):
        return f"Unknown field {unknown[0]}"
    wrong = _event_name(record.get("eventName")) or _values(record.get("eventval"))
    if not wrong and record.get("eventCategory") != "EXTERNAL":
        wrong = "eventCategory should be EXTERNAL"
    wrong = wrong or _user(record) or _common(record)
    return wrong or ("" if record["userId"] in identified else "userId was never identified")


def contact(record: dict[str, Any]) -> str:
    """Return the first thing wrong with a contact."""
    if unknown := sorted(record.keys() - CONTACT_FIELDS):
        return f"Unknown field {unknown[0]}"
    for name in sorted(CONTACT_TEXTS & record.keys()):
        if not isinstance(record[name], str) or not record[name].strip():
            return f"{name} should be a text that is not empty"
    return _user(record) or _person(record) or _common(record)


def _event_name(name: Any) -> str:
    """Check the name: there, trimmed, and none of Wigzo's own."""
    if not isinstance(name, str) or not name.strip():
        return "eventName is required"
    if name != name.strip():
        return "eventName has spaces around it"
    return f"eventName {name} is reserved" if name.lower() in RESERVED else ""


def _values(values: Any) -> str:
    """Check the event's values: an object that says something, nothing in it null."""
    if not isinstance(values, dict):
        return "eventval should be an object"
    if not values:
        return "eventval should not be empty"
    return _no_nulls(values, "eventval")


def _no_nulls(value: Any, path: str, depth: int = 0) -> str:
    """Find the first null or nameless value, at any depth that somebody would want."""
    if depth > DEEPEST:
        return "eventval is nested too deeply"
    if value is None:
        return f"{path} should not be null"
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        if key == "":
            return f"{path} has a value without a name"
        if wrong := _no_nulls(part, f"{path}.{key}", depth + 1):
            return wrong
    return ""


def _user(record: dict[str, Any]) -> str:
    """Check the user's id."""
    user = record.get("userId")
    if not isinstance(user, str) or not user:
        return "userId is required"
    return "" if UUID4.match(user) else "userId should be a UUIDv4"


def _person(record: dict[str, Any]) -> str:
    """Check email and phone: one of them is mandatory. Also the days, where they are given."""
    if "email" not in record and "phone" not in record:
        return "email or phone is required"
    if "email" in record and not EMAIL.match(record["email"]):
        return "email is not valid"
    if "phone" in record and not PHONE.match(record["phone"]):
        return "phone is not valid"
    days = (name for name in ("createdAt", "updatedAt") if name in record and not DAY.match(record[name]))
    return next((f"{name} should be an ISO date" for name in days), "")


def _common(record: dict[str, Any]) -> str:
    """Check what both have."""
    if not isinstance(record.get("is_active", True), bool):
        return "is_active should be true or false"
    return "" if record.get("source", "web") in SOURCES else "source should be web or app"
