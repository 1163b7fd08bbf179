"""The catalogue of triggers: every kind of loyalty activity, in one table that drives forms, names and checks.

The first 18 are Nector's topics as on the wire (help.nector.io, "Webhook details sent to delivery URL"), the misspelt
`wallettrasaction_update` included; the others are our own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext_lazy as _

COUPON_ENDED: Mapping[str, Any] = MappingProxyType(
    {"ends": "coupon_expires_at", "ended": _("the coupon expired"), "may_be_overtaken": True}
)
COINS_ENDED: Mapping[str, Any] = MappingProxyType(
    {"ends": "expires_at", "ended": _("the coins expired"), "may_be_overtaken": True}
)
AMOUNTS = frozenset({"coupon_value", "minimum_cart_amount", "order_total", "order_discount", "refunded_amount", "refunded_total"})
LEAD, NUDGE = "lead", "nudge"
WALLET, COUPONS, REFERRALS, REVIEWS = _("Wallet"), _("Coupons"), _("Referrals"), _("Reviews")
REMINDERS, CUSTOMERS, ORDERS, CUSTOM_GROUP = _("Reminders"), _("Customers"), _("Orders"), _("Your own topics")

# What an event of the trigger carries besides the common fields, each with a sample that forms and tests show.
_CREDIT: dict[str, Any] = {
    "coins": 120,
    "balance": 480,
    "operation": "cr",
    "title": "Order #1042",
    "transaction_id": "8123",
    "expires_at": "2027-11-30T00:00:00+00:00",
}
_DEBIT = _CREDIT | {"operation": "dr", "title": "Redeemed at checkout", "balance": 360}
_COUPON: dict[str, Any] = {
    "coupon_code": "THANKS10",
    "coupon_value_class": "percent",
    "coupon_value": 10,
    "minimum_cart_amount": 500,
    "coupon_expires_at": "2026-12-31T00:00:00+00:00",
    "coupon_status": "issued",
}
_REFERRAL: dict[str, Any] = {"referral_id": "311", "referral_status": "started", "friend_name": "Ravi"}
_FRIEND: dict[str, Any] = {
    "referral_id": "311",
    "referrer_name": "Asha Rao",
    "referral_code": "ASHA5",
    "referral_link": "https://shop.example?ref=ASHA5",
    "coupon_code": "FRIEND10",
}
_REVIEW: dict[str, Any] = {
    "review_id": "77",
    "review_status": "submitted",
    "rating": 5,
    "review_text": "Fits well.",
    "product_id": "8812",
    "product_name": "Linen shirt",
    "is_verified": True,
    "order_number": "#1042",
}
_ASKED = {key: value for key, value in _REVIEW.items() if key not in ("rating", "review_text")} | {"review_status": "requested"}
_ORDER: dict[str, Any] = {
    "order_id": "5512207",
    "order_number": "#1042",
    "order_status": "placed",
    "order_total": 1299.5,
    "order_discount": 100,
    "order_currency": "INR",
    "coupon_code": "THANKS10",
    "placed_at": "2026-11-20T09:30:00+00:00",
}
_JOINED: dict[str, Any] = {"joined_at": "2026-11-20T09:30:00+00:00"}
_EDUCATION = _JOINED | {
    "how_to_earn": "Collect coins with every order, review and friend at Demo Store.",
    "how_to_redeem": "Turn coins into a coupon and use it at checkout.",
}
_EXPIRY: dict[str, Any] = {"coins": 120, "expires_at": "2026-11-30T00:00:00+00:00", "days_left": 7, "balance": 480}
_UNUSED: dict[str, Any] = {"coins": 480, "balance": 480, "days_unused": 7, "reminder_number": 1}
_MILESTONE: dict[str, Any] = {"coins": 120, "balance": 1010, "milestone": 1000, "coins_to_go": 0}


@dataclass(frozen=True, slots=True)
class Trigger:
    """A kind of loyalty activity. `label` takes the merchant's coin word at %(coins)s.

    `ends` names the property with the moment after which its events are worth nothing, `ended` says what is over then.
    `may_be_overtaken`: the host is asked once more before an event leaves (`events.host.Host.still_relevant`).
    """

    key: str
    label: Any
    group: Any
    fires: Any
    properties: Mapping[str, Any] = field(default_factory=dict)
    ends: str = ""
    ended: Any = ""
    may_be_overtaken: bool = False
    timing: str = ""  # what time creates it by: LEAD, days before an end; NUDGE, days after a beginning

    @property
    def types(self) -> dict[str, str]:
        """Return what kind of value each property has, in words; amounts of money may have decimals, whatever the sample."""
        return {name: kind_of(name, sample) for name, sample in self.properties.items()}

    def title(self, coin_name: str) -> str:
        """Return the label in the merchant's own words, for example “Wallet Points Rewarded”."""
        return str(self.label) % {"coins": coin_name.title()}


def kind_of(name: str, sample: Any) -> str:
    """Return what kind of value a property has, by its sample."""
    if isinstance(sample, bool):
        return str(_("yes or no"))
    if name in AMOUNTS or isinstance(sample, float):
        return str(_("number"))
    if isinstance(sample, int):
        return str(_("whole number"))
    return str(_("time")) if name.endswith("_at") else str(_("text"))


_TABLE = (
    Trigger("walletreward_create", _("Wallet %(coins)s Rewarded"), WALLET, _("a customer earns coins"), _CREDIT),
    Trigger("coins_redeemed", _("%(coins)s Redeemed"), WALLET, _("a customer spends coins"), _DEBIT),
    Trigger(
        "wallettrasaction_update",
        _("Wallet Transaction Is Updated"),
        WALLET,
        _("a wallet transaction changes"),
        _CREDIT,
    ),
    Trigger("coins_expired", _("%(coins)s Expired"), WALLET, _("coins are taken back because their time is over"), _DEBIT),
    Trigger("coupon_create", _("Coupon Is Created"), COUPONS, _("a customer gets a coupon"), _COUPON, **COUPON_ENDED),
    # It tells a change, the end included: only the host can say whether a later change has overtaken it.
    Trigger("coupon_update", _("Coupon Is Updated"), COUPONS, _("a coupon changes"), _COUPON, may_be_overtaken=True),
    Trigger(
        "coupon_redeemed",
        _("Coupon Is Redeemed"),
        COUPONS,
        _("a coupon is used"),
        _COUPON | {"coupon_status": "redeemed"},
    ),
    Trigger(
        "coupon_expiring",
        _("Coupon Is Expiring"),
        COUPONS,
        _("an unused coupon is about to expire"),
        _COUPON | {"days_left": 7},
        timing=LEAD,
        **COUPON_ENDED,
    ),
    Trigger("referral_started", _("Referral Is Started"), REFERRALS, _("a customer refers a friend"), _REFERRAL),
    Trigger(
        "referrernotify_create",
        _("Notifying The Customer"),
        REFERRALS,
        _("a referral is completed: to the referrer"),
        _REFERRAL | {"referral_status": "completed", "coins": 200},
    ),
    Trigger("refereenotify_create", _("Notifying The Friend"), REFERRALS, _("a friend left an address: to the friend"), _FRIEND),
    Trigger(
        "incompletereferralrequest_create",
        _("Incomplete Referral Reminder"),
        REFERRALS,
        _("a friend has not ordered yet"),
        _FRIEND | {"reminder_number": 1},
        may_be_overtaken=True,
        timing=NUDGE,
    ),
    Trigger(
        "reviewrequest_create",
        _("Review Collect Reminder"),
        REVIEWS,
        _("a review is asked for"),
        _ASKED,
        may_be_overtaken=True,
        timing=NUDGE,
    ),
    Trigger("review_create", _("Review Is Submitted"), REVIEWS, _("a customer writes a review"), _REVIEW),
    Trigger("review_update", _("Review Is Updated"), REVIEWS, _("a review changes"), _REVIEW),
    Trigger(
        "review_approved", _("Review Is Approved"), REVIEWS, _("a review is approved"), _REVIEW | {"review_status": "approved"}
    ),
    Trigger(
        "coinexpirynotify_create",
        _("%(coins)s Expiry Notification"),
        REMINDERS,
        _("coins are about to expire"),
        _EXPIRY,
        timing=LEAD,
        **COINS_ENDED,
    ),
    Trigger(
        "unusedwalletcoinrequest_create",
        _("Unused %(coins)s Reminder"),
        REMINDERS,
        _("coins lie unused for some days"),
        _UNUSED,
        may_be_overtaken=True,
        timing=NUDGE,
    ),
    Trigger(
        "unusedcouponrequest_create",
        _("Unused Coupon Reminder"),
        REMINDERS,
        _("a coupon lies unused for some days"),
        _COUPON | {"reminder_number": 1},
        timing=NUDGE,
        **COUPON_ENDED,
    ),
    Trigger("milestone_reached", _("Milestone Reached"), REMINDERS, _("earned coins bring a balance to a milestone"), _MILESTONE),
    Trigger(
        "viptier_create",
        _("VIP Tier Changed"),
        CUSTOMERS,
        _("a customer's tier changes"),
        {"tier": "Gold", "former_tier": "Silver"},
    ),
    Trigger("lead_create", _("Customer Is Created"), CUSTOMERS, _("a customer joins"), _EDUCATION),
    Trigger("lead_update", _("Customer Is Updated"), CUSTOMERS, _("a customer's details change"), _JOINED),
    Trigger("order_create", _("Order Is Placed"), ORDERS, _("an order is placed"), _ORDER),
    Trigger("order_update", _("Order Is Updated"), ORDERS, _("an order changes"), _ORDER | {"order_status": "completed"}),
    Trigger(
        "order_refunded",
        _("Order Is Refunded"),
        ORDERS,
        _("an order is refunded"),
        _ORDER | {"order_status": "refunded", "refunded_amount": 1299.5, "refunded_total": 1299.5},
    ),
)
CATALOGUE: Mapping[str, Trigger] = MappingProxyType({trigger.key: trigger for trigger in _TABLE})
OVERTAKEN = tuple(trigger.key for trigger in _TABLE if trigger.may_be_overtaken)
CUSTOM = "custom:"
CUSTOM_TOPIC = re.compile(r"[\w .:/-]{1,57}")  # the key has a column of 64
SPELLINGS = {"wallettransaction_update": "wallettrasaction_update"}  # Nector's misspelling is the name on the wire


def canonical(key: str) -> str:
    """Return the trigger's key as stored. Raises ValueError for one that is neither in the catalogue nor a custom one."""
    key = SPELLINGS.get(key, key)
    if key not in CATALOGUE and not is_custom(key):
        raise ValueError(f"Unknown trigger {key!r}. Known: {', '.join(sorted(CATALOGUE))}, and {CUSTOM}... for custom topics.")
    return key


def custom(topic: str) -> str:
    """Return the key of a trigger that is a topic of the merchant's own."""
    return f"{CUSTOM}{topic}"


def is_custom(key: str) -> bool:
    """Tell whether a key is that of a topic of the merchant's own."""
    return key.startswith(CUSTOM) and CUSTOM_TOPIC.fullmatch(key[len(CUSTOM) :]) is not None


def topic_of(key: str) -> str:
    """Return the topic of a trigger as it is on the wire."""
    return key[len(CUSTOM) :] if is_custom(key) else key


def find(key: str) -> Trigger | None:
    """Return the trigger of this key, made up for a topic of the merchant's own; None for one that nobody knows."""
    if is_custom(key):
        topic = key[len(CUSTOM) :]
        return Trigger(key, topic.replace("%", "%%"), CUSTOM_GROUP, _("Nector sends the topic “%(topic)s”") % {"topic": topic})
    return CATALOGUE.get(key)


def choices() -> list[tuple[Any, list[tuple[str, Any]]]]:
    """Return the catalogue as grouped choices, with the neutral word for coins."""
    grouped: dict[str, tuple[Any, list[tuple[str, Any]]]] = {}
    for trigger in _TABLE:
        grouped.setdefault(str(trigger.group), (trigger.group, []))[1].append((trigger.key, trigger.title(str(_("coins")))))
    return list(grouped.values())
