"""The measures of what an event was worth: one table, which drives the report, the page and the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from events.triggers import REFERRALS, REVIEWS, find

EXPIRING_COINS = "coinexpirynotify_create"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure, counted once a customer. `words` say what it counts; `%(coins)s` is the merchant's word.

    `is_wanted`: more of it is better. `is_money`: an amount for each customer, not a share of them.
    """

    key: str
    label: Any
    words: Any
    is_wanted: bool = True
    is_money: bool = False


COINS = Measure(
    "coins",
    _("Saved expiring %(coins)s"),
    _(
        "Spent at least one of the %(coins)s that their first reminder named, after it, before they expired, within the window. "
        "The ledger knows which were spent; of a reminder that came from Nector, what was spent up to the number it named."
    ),
)
REFERRAL = Measure(
    "referral",
    _("Completed a referral"),
    _("A referral was completed in which they referred somebody, or are the friend."),
)
REVIEW = Measure("review", _("Wrote a review"), _("Submitted a review of anything."))
COUPON = Measure(
    "coupon",
    _("Used a coupon"),
    _("A coupon of theirs, whichever, was used, or an order named one. Cancelled orders don't count."),
)
ORDER = Measure(
    "ordered",
    _("Bought again"),
    _("Placed an order that was neither cancelled nor fully refunded since."),
)
REVENUE = Measure(
    "revenue",
    _("Revenue for each customer"),
    _(
        "What these orders came to less what was refunded of them until today, in your currency, "
        "divided by all customers of the group, also those who bought nothing. Orders in other currencies are left out."
    ),
    is_money=True,
)
NO = Measure(
    "no",
    _("Opted out or complained"),
    _("Unsubscribed on any channel, or complained of or unsubscribed from any message of yours."),
    is_wanted=False,
)


def measures_of(trigger: str) -> tuple[Measure, ...]:
    """Return the measures that make sense for events of a trigger: first what it is about, then what counts for any."""
    found, own = find(trigger), []
    group = found.group if found else ""
    if trigger == EXPIRING_COINS:
        own.append(COINS)
    if group == REFERRALS:
        own.append(REFERRAL)
    if group == REVIEWS:
        own.append(REVIEW)
    return (*own, COUPON, ORDER, REVENUE, NO)
