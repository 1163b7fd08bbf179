"""What MoEngage takes as a name, an attribute, an identity or a data centre.

Facts from moengage.com/docs: api/introduction (data centres), api/data/data-overview (banned ids, dates), user-guide/data/
key-concepts/data-tracking-policies (lengths, prefixes), event-naming-conventions (characters).
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from integrations.providers.attributes import attributes_of
from integrations.providers.base import InvalidName, Profile
from integrations.providers.values import ISO_DATETIME, e164_or_none, email_or_none, scalar

# api/introduction: each data centre has its own host, and data never moves between them.
PREFIXES = ("01", "02", "03", "04", "05", "06", "101")
PREFIX = re.compile(r"^(?:(?:dashboard|api|dc)-)?(0?[1-6]|101)(?:\.moengage\.com)?\Z")

# api/data/data-overview: ids that name nobody, or everybody at once.
BANNED = """
unknown guest null 0 1 2 -1 -2 true false none na n/a '' (empty) id uid userid user_id customer_id user_attribute_unique_id
dummy_seller_code
"""
BANNED_IDS = frozenset(BANNED.split())

NAME_MAX_CHARACTERS = 200
VALUE_MAX_CHARACTERS = 512
ATTRIBUTES_MAX = 100
ITEMS_MAX = 50  # of an array
AS_TYPED = re.compile(r"^[A-Za-z0-9_]+\Z")
OTHERS = re.compile(r"[^A-Za-z0-9_]+")
# event-naming-conventions forbids punctuation, emoji and blanks; letters of any script are left alone.
KEY_OTHERS = re.compile(r"[^\w-]+")
# Names that MoEngage fills in itself when it personalises a message: ours would be hidden behind them.
RESERVED = """
transaction_id request_id revenue campaign_id campaign_name campaign_type campaign_channel flow_id flow_name variation_id
goal_name alert_id notification_type
"""
RESERVED_KEYS = frozenset(RESERVED.split())
OURS = "nector_"
OWN_PROPERTIES = ("nector_click_url", "nector_open_url")  # never absent: a missing one can drop a whole message
ADDRESS = re.compile(r"^\s*[A-Za-z][A-Za-z0-9+.-]*://")
# api/data/data-overview: attributes of a customer that MoEngage blocks.
BLOCKED = frozenset(["id", "_id", "", "status", "user_id", "source", "INSTALL", "UPDATE"])
BLOCKED_PREFIXES = ("MOE_", "USER_ATTRIBUTE_")

# The names that events get on MoEngage, as Nector's guide shows them there (`WalletRewardCreate`).
DEFAULT_NAMES = {
    "walletreward_create": "WalletRewardCreate",
    "coins_redeemed": "CoinsRedeemed",
    "wallettrasaction_update": "WalletTransactionUpdate",
    "coins_expired": "CoinsExpired",
    "coupon_create": "CouponCreate",
    "coupon_update": "CouponUpdate",
    "coupon_redeemed": "CouponRedeemed",
    "coupon_expiring": "CouponExpiring",
    "referral_started": "ReferralStarted",
    "referrernotify_create": "ReferrerNotifyCreate",
    "refereenotify_create": "RefereeNotifyCreate",
    "incompletereferralrequest_create": "IncompleteReferralRequestCreate",
    "reviewrequest_create": "ReviewRequestCreate",
    "review_create": "ReviewCreate",
    "review_update": "ReviewUpdate",
    "review_approved": "ReviewApproved",
    "coinexpirynotify_create": "CoinExpiryNotifyCreate",
    "unusedwalletcoinrequest_create": "UnusedWalletCoinRequestCreate",
    "unusedcouponrequest_create": "UnusedCouponRequestCreate",
    "milestone_reached": "MilestoneReached",
    "viptier_create": "VipTierCreate",
    "lead_create": "LeadCreate",
    "lead_update": "LeadUpdate",
    "order_create": "OrderCreate",
    "order_update": "OrderUpdate",
    "order_refunded": "OrderRefunded",
}


def data_centre(value: Any) -> str:
    """Return the data centre's digits, also from a dashboard address. Raises ValueError that says what to do."""
    text = str(value or "").strip().lower()
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        host = ""
    match = PREFIX.match(host)
    if match is None:
        words = _("MoEngage has no data centre “%(value)s”. Use the digits of your dashboard's address: one of %(known)s.")
        raise ValueError(words % {"value": text[:100], "known": ", ".join(PREFIXES)})
    return match.group(1).zfill(2)


SHORTEST_TIME = len("2026-11-30T00:00Z")


def event_name(name: str) -> str:
    """Return the name as it leaves. Raises InvalidName for one that MoEngage keeps for itself or cannot take."""
    name = spelled(name)
    if not name.strip("_"):
        raise InvalidName(_("Give the event a name with letters or digits (a to z, 0 to 9)."))
    if len(name) > NAME_MAX_CHARACTERS:
        raise InvalidName(_("MoEngage takes names of up to %(limit)d characters.") % {"limit": NAME_MAX_CHARACTERS})
    if name.lower().startswith("moe"):
        raise InvalidName(_("MoEngage keeps names that start with “moe” for itself. Choose another."))
    return name


@lru_cache(maxsize=1024)
def spelled(name: str) -> str:
    """Return the name as typed where MoEngage takes it so, else in lower case with `_` for everything else."""
    name = name.strip()
    return name if AS_TYPED.match(name) else OTHERS.sub("_", name.lower())


def identity(value: Any) -> str | None:
    """Return the id, or None where it is missing, a single character, or a word that names nobody."""
    text = str(value if value is not None else "").strip()
    return None if len(text) <= 1 or text.lower() in BANNED_IDS else text


def attributes(delivery_id: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event's attributes: flat, no nulls, within MoEngage's lengths, at most a hundred, our id among them."""
    own = {key: properties[key] for key in OWN_PROPERTIES if isinstance(properties.get(key), str)}
    data: dict[str, Any] = {"nector_delivery_id": delivery_id, **own}
    for key, value in properties.items():
        if len(data) >= ATTRIBUTES_MAX:
            break
        if not key.strip():
            continue
        kind = type(value)
        if kind is int or (kind is str and len(value) < SHORTEST_TIME):  # most values: nothing to cut, no time
            data.setdefault(attribute_name(key), value)
        elif isinstance(value, Mapping):
            _add_members(data, key, value)
        elif (cleaned := _value(value)) is not None:
            data.setdefault(attribute_name(key), cleaned)
    return data


def _add_members(data: dict[str, Any], key: str, value: Mapping[str, Any]) -> None:
    """Add an object's members, as far as there is room."""
    for name, item in _flat({key: value}):
        if len(data) < ATTRIBUTES_MAX and (cleaned := _value(item)) is not None:
            data.setdefault(attribute_name(name), cleaned)


@lru_cache(maxsize=4096)
def attribute_name(key: str) -> str:
    """Return an attribute's name without forbidden characters, prefixed where MoEngage has the name already."""
    name = KEY_OTHERS.sub("_", key)
    if name.lower() in RESERVED_KEYS or name.lower().startswith("moe_"):
        name = OURS + name
    return name[:NAME_MAX_CHARACTERS]


def attribute_names(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the attribute that each property becomes."""
    return {key: attribute_name(key) for key, _value in _flat(properties)}


def _flat(properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values; an object's members get the object's name in front."""
    for key, value in properties.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}_{inner}", item) for inner, item in _flat(value))
        else:
            yield key, value


def _value(value: Any) -> Any:
    """Return one value as MoEngage keeps it, or None where it is to be left out."""
    if type(value) is str:
        return text_value(value)
    if isinstance(value, list | tuple):
        return _array(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    cleaned = scalar(value)
    return text_value(cleaned) if isinstance(cleaned, str) else cleaned


def text_value(text: str) -> str | None:
    """Return a text cut to its limit, a time in UTC with `Z`, or None for an address too long to survive a cut."""
    if len(text) > VALUE_MAX_CHARACTERS:
        return None if ADDRESS.match(text) else text[:VALUE_MAX_CHARACTERS]
    if len(text) >= SHORTEST_TIME and text[4] == "-" and ISO_DATETIME.match(text):
        return utc_or_same(text)
    return text


def utc_or_same(text: str) -> str:
    """Return an ISO time in UTC; MoEngage takes one with an offset for a mere text."""
    try:
        return iso(datetime.fromisoformat(text.replace("Z", "+00:00")))
    except (ValueError, OverflowError):
        return text


def iso(moment: datetime) -> str:
    """Return a time as MoEngage reads it."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _array(items: list[Any] | tuple[Any, ...]) -> Any:
    """Return an array of one kind of scalars within its limits; any other list as JSON text."""
    present = [item for item in items if item is not None]
    kinds = {"number" if type(item) in (int, float) else type(item).__name__ for item in present}
    if not present:
        return None
    if len(kinds) > 1 or not kinds <= {"number", "str", "bool"}:
        return text_value(str(scalar(items)))
    cleaned = [_value(item) for item in present[:ITEMS_MAX]]
    return [item for item in cleaned if item is not None] or None


def profile_data(profile: Profile, common_property: str) -> dict[str, Any]:
    """Return what MoEngage should know of the person. Its samples have mobile numbers without `+`."""
    person = profile.recipient
    data: dict[str, Any] = {
        "u_n": str(person.get("name") or "").strip(),
        "u_em": email_or_none(person.get("email")),
        "u_mb": (e164_or_none(person.get("phone")) or "").removeprefix("+"),
    }
    if common_property != "customer_id":
        data["nector_customer_id"] = str(person.get("customer_id") or "").strip()
    known = {key: value[:VALUE_MAX_CHARACTERS] for key, value in data.items() if value and key not in profile.refused}
    return _loyalty(profile) | known if profile.attributes else known


def _loyalty(profile: Profile) -> dict[str, Any]:
    """Return what the loyalty programme knows, times in UTC, by names that MoEngage does not keep for itself."""
    found = ((_own_name(key), _value(value)) for key, value in attributes_of(profile, iso).items())
    return {key: value for key, value in found if value is not None}


def _own_name(key: str) -> str:
    """Return the name of an attribute of a customer. MoEngage blocks some, and what begins like its own."""
    name = attribute_name(key)
    return f"{OURS}{name}" if name in BLOCKED or name.startswith(BLOCKED_PREFIXES) else name


def address(value: str) -> str:
    """Return an IP address. Raises ValueError that says what to do."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(_("“%(value)s” is not an IP address.") % {"value": value[:100]}) from None
