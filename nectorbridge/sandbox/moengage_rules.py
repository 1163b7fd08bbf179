"""What MoEngage keeps of a record. What it does not keep it drops in silence: its answer has no result per record.

Facts from moengage.com/docs: api/data/data-overview (types, banned ids, times), user-guide/data/key-concepts/
data-tracking-policies (lengths, numbers, prefixes), event-naming-conventions (characters). Where MoEngage would cut a name
or a value, or drop an attribute, the sandbox drops the record, so that a loss is seen. The codes are the sandbox's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

NAME_MAX = 200
VALUE_MAX = 512
ATTRIBUTES_MAX = 100
ITEMS_MAX = 50
PROHIBITED = re.compile(r"[$.<>+%!`&*#|{}?\"=/:\\@',\s]")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
OFFSET_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:?\d\d|\.\d+Z)\Z")
OURS_TIME = re.compile(r"^nector_\w+_(at|as_of)\Z")
PLATFORMS = frozenset(["ANDROID", "iOS", "web", "TV", "unknown"])
ACTION_FIELDS = frozenset(
    ["action", "attributes", "platform", "current_time", "real_time_action", "app_version", "user_time", "user_timezone_offset"]
)
BLOCKED_ATTRIBUTES = frozenset(["id", "_id", "", "status", "user_id", "source", "INSTALL", "UPDATE"])
BLOCKED_PREFIXES = ("MOE_", "USER_ATTRIBUTE_")
CLOCK_SLACK = timedelta(seconds=2)  # between two machines
BANNED = """
unknown guest null 0 1 2 -1 -2 true false none na n/a '' (empty) id uid userid user_id customer_id user_attribute_unique_id
dummy_seller_code
"""
BANNED_IDS = frozenset(BANNED.split())


def judge(record: Mapping[str, Any], discarded: frozenset[str]) -> str:
    """Return why MoEngage keeps nothing of a record, as a code, or "" where it does."""
    if record.get("type") not in ("event", "customer"):
        return "type"
    if not _is_identity(record.get("customer_id")):
        return "customer_id"
    if record["type"] == "customer":
        return _profile(record.get("attributes"))
    return _action(record["action"], discarded)


def _is_identity(value: Any) -> bool:
    """Tell whether a text names one person."""
    return isinstance(value, str) and len(value.strip()) > 1 and value.strip().lower() not in BANNED_IDS


def _action(action: Mapping[str, Any], discarded: frozenset[str]) -> str:
    """Return what is wrong with one action."""
    name = action["action"]
    if len(name) > NAME_MAX or PROHIBITED.search(name):
        return "action_name"
    if name.lower().startswith("moe") or name in discarded:
        return "blacklisted"
    if not ACTION_FIELDS.issuperset(action) or action.get("platform", "unknown") not in PLATFORMS:
        return "action_field"
    if action.get("real_time_action", "true") != "true":
        return "action_field"
    return _time(action.get("current_time")) or _attributes(action.get("attributes", {}), "moe_")


def _time(value: Any) -> str:
    """Return what is wrong with an event's time: MoEngage does not accept a future one."""
    if value is None:
        return ""
    if not isinstance(value, str) or not TIME.match(value):
        return "current_time"
    try:
        moment = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return "current_time"
    return "future" if moment > datetime.now(UTC) + CLOCK_SLACK else ""


def _attributes(data: Any, banned_prefix: str) -> str:
    """Return what is wrong with attributes: their number, names or values."""
    if not isinstance(data, Mapping) or len(data) > ATTRIBUTES_MAX:
        return "attributes"
    for key, value in data.items():
        if not key or len(key) > NAME_MAX or PROHIBITED.search(key) or key.lower().startswith(banned_prefix):
            return "attribute_name"
        if not _is_value(value):
            return "attribute_value"
    return ""


def _is_value(value: Any) -> bool:
    """Tell whether a value is stored as it is: not cut, not dropped, a time not as a mere text."""
    if isinstance(value, str):
        return len(value) <= VALUE_MAX and not OFFSET_TIME.match(value)
    if isinstance(value, list):
        kinds = {float if type(item) is int else type(item) for item in value}
        return len(value) <= ITEMS_MAX and len(kinds) <= 1 and kinds <= {str, float, bool} and all(map(_is_value, value))
    return isinstance(value, int | float)  # no null, and objects only behind a feature flag


def _profile(data: Any) -> str:
    """Return what is wrong with a profile's attributes."""
    wrong = _attributes(data, "moe_")
    if wrong or not data:
        return wrong or "attributes"
    if any(key in BLOCKED_ATTRIBUTES or key.startswith(BLOCKED_PREFIXES) for key in data):
        return "attribute_name"
    if any(OURS_TIME.search(key) and not (isinstance(value, str) and TIME.match(value)) for key, value in data.items()):
        return "attribute_value"  # kept as a mere text or number, which no segment can compare with a date
    email, mobile = data.get("u_em", "a@b.c"), data.get("u_mb", "1")
    if not isinstance(email, str) or "@" not in email or not isinstance(mobile, str) or not mobile.isdigit():
        return "attribute_value"
    return ""
