"""What CleverTap takes: one record at a time, the first thing wrong with it. Quick, since benchmarks go through it.

Facts from developer.clevertap.com/docs/upload-events-api, docs/upload-user-profiles-api, docs/api-errors and the limits
on docs.clevertap.com. The shape of an object id is not published; that check is our reading.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from nectorbridge.sandbox.clevertap_profiles import profile_data
from nectorbridge.sandbox.clevertap_values import KEY_MAX, PROHIBITED, Finding, scalars

RECORD_FIELDS = frozenset(["type", "identity", "objectId", "FBID", "GPID", "evtName", "evtData", "profileData", "ts", "$source"])
NAMES_OF_A_PERSON = ("identity", "objectId", "FBID", "GPID")
IDENTITY_MAX_CHARACTERS = 1024
# docs/csv-upload: values that never name a person.
BANNED_IDENTITIES = frozenset(
    "undefined null na n/a 0 nil -1 infinity -infinity inf -inf nan -nan empty xxxxxx none".split()  # noqa: SIM905
)
OBJECT_ID = re.compile(r"^[A-Za-z0-9_!@:$()-]{1,64}\Z")
EVENT_NAME_MAX_CHARACTERS = 512
EVENT_PROPERTIES_MAX = 100
TS_LIMIT_SECONDS = 100_000_000_000  # the year 5138; milliseconds are far above it
RESERVED_NAMES = """
Notification Sent, Notification Viewed, Notification Clicked, Notification Delivered, Notification Replied, UTM Visited,
App Launched, App Uninstalled, App Version Changed, Stayed, Reply Sent, Experiment Rendered, Reachable By, Identity Reset,
Identity Set, Identity Error, Web Page Viewed, CT Coupon Rewarded, CT Coupon Redeemed, CT Coupon Reverted,
CT Points Credited, CT Points Debited, CT Partner Voucher Rewarded
"""


@lru_cache(maxsize=4096)
def normal(name: str) -> str:
    """Return a name as CleverTap compares them: without case and spaces."""
    return "".join(name.split()).casefold()


RESERVED = frozenset(normal(name) for name in RESERVED_NAMES.split(","))


def judge(record: Any, discarded: frozenset[str]) -> Finding | None:
    """Return the first thing wrong with a record, or None. `discarded` are event names, as `normal` returns them."""
    kind = record.get("type") if isinstance(record, dict) else None
    if kind not in ("event", "profile"):
        return Finding(524, "Record is neither an event nor a profile.")
    wrong = _person(record)
    if wrong is None and not record.keys() <= RECORD_FIELDS:
        wrong = Finding(512, f"Unknown field {min(record.keys() - RECORD_FIELDS)[:KEY_MAX]}.")
    if wrong is None and "ts" in record:
        wrong = _time(record["ts"])
    if wrong is None and not isinstance(record.get("$source", ""), str):
        wrong = Finding(512, "$source should be a text.")
    if wrong is not None:
        return wrong
    return _event(record, discarded) if kind == "event" else profile_data(record.get("profileData"))


def _person(record: dict[str, Any]) -> Finding | None:
    """Check who the record is about."""
    identity = record.get("identity")
    if identity is not None:
        if type(identity) not in (str, int) or not (text := str(identity).strip()):
            return Finding(523, "Identity should be a text.")
        if len(text) > IDENTITY_MAX_CHARACTERS or text.lower() in BANNED_IDENTITIES:
            return Finding(523, "Identity is not valid.")
    object_id = record.get("objectId")
    if object_id is not None and (not isinstance(object_id, str) or not OBJECT_ID.match(object_id)):
        return Finding(526, "Object ID is not valid.")
    if not identity and not any(record.get(name) for name in NAMES_OF_A_PERSON):
        return Finding(523, "Identity is mandatory.")
    return None


def _time(ts: Any) -> Finding | None:
    """Check that a time is whole epoch seconds."""
    if type(ts) is int and 0 < ts < TS_LIMIT_SECONDS:
        return None
    return Finding(525, "Timestamp should be present in the Unix Epoch format.")


def _event(record: dict[str, Any], discarded: frozenset[str]) -> Finding | None:
    """Check an event's name and data."""
    name = record.get("evtName")
    if not isinstance(name, str) or not name.strip():
        return Finding(509, "Event name is mandatory.")
    if wrong := _name(name):
        return wrong
    if discarded and normal(name) in discarded:
        return Finding(528, "Event is discarded in the schema.")
    data = record.get("evtData", {})
    if not isinstance(data, dict):
        return Finding(512, "evtData should be an object.")
    if len(data) > EVENT_PROPERTIES_MAX:
        return Finding(522, "Event properties limit exceeded.")
    if normal(name) == "charged" and isinstance(data.get("Items"), list):
        return _charged(data)
    return scalars(data)


@lru_cache(maxsize=4096)
def _name(name: str) -> Finding | None:
    """Check an event's name."""
    if normal(name) in RESERVED:
        return Finding(513, "Trying to raise a restricted system event.")
    if len(name) > EVENT_NAME_MAX_CHARACTERS:
        return Finding(512, "Event name is too long.")
    if not PROHIBITED.isdisjoint(name):
        return Finding(512, "Event name has prohibited characters.")
    return None


def _charged(data: dict[str, Any]) -> Finding | None:
    """Check the data of `Charged`, the one event with a list: its items are flat objects."""
    for item in data["Items"]:
        if not isinstance(item, dict):
            return Finding(512, "Items should be a list of objects.")
        if wrong := scalars(item):
            return wrong
    return scalars({key: value for key, value in data.items() if key != "Items"})
