"""Of what people are reminded, and what they are told: one rule a trigger. Which of them are due, `reminders` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from events import Activity
from events.models import EventDefinition
from events.schedules import Schedule, Step
from nectorbridge.loyalty import announcements, properties
from nectorbridge.loyalty.models import (
    Coupon,
    CouponStatus,
    Customer,
    Referral,
    ReferralStatus,
    Review,
    ReviewStatus,
    Wallet,
    WalletTransaction,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Of which rows a trigger reminds: those of `rows` whose `base` is the end or the beginning of what it is about.

    `customer` leads from a row to its customer; `activity` makes the activity of one row.
    """

    rows: Callable[[EventDefinition, datetime], QuerySet[Any]]
    base: str
    customer: str
    is_lead: bool
    activity: Callable[[Any, EventDefinition, Step, Schedule, datetime], Activity]


# --- What there is to remind of ----------------------------------------------------------------------------------------------
def _lots(definition: EventDefinition, now: datetime) -> QuerySet[Any]:
    """Return unspent coins that have not expired."""
    lots = WalletTransaction.objects.filter(remaining__gt=0, expires_at__isnull=False, expires_at__gt=now)
    if definition.minimum_coins:
        lots = lots.filter(remaining__gte=definition.minimum_coins)
    return lots.select_related("wallet__customer__merchant")


def _coupons(_definition: EventDefinition, now: datetime) -> QuerySet[Any]:
    """Return coupons that can still be used."""
    usable = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    return Coupon.objects.filter(usable, status=CouponStatus.ISSUED).select_related("customer__merchant")


def _wallets(definition: EventDefinition, _now: datetime) -> QuerySet[Any]:
    """Return wallets with coins in them."""
    return Wallet.objects.filter(balance__gte=definition.minimum_coins or 1).select_related("customer__merchant")


def _referrals(_definition: EventDefinition, _now: datetime) -> QuerySet[Any]:
    """Return referrals whose friend has not ordered yet."""
    rows = Referral.objects.filter(status=ReferralStatus.STARTED)
    return rows.select_related("customer__merchant", "friend__merchant")


def _reviews(_definition: EventDefinition, _now: datetime) -> QuerySet[Any]:
    """Return reviews that were asked for and not written."""
    return Review.objects.filter(status=ReviewStatus.REQUESTED).select_related("customer__merchant", "order")


# --- What is told ------------------------------------------------------------------------------------------------------------
def _made(row: Any, of: Customer, told: Mapping[str, Any], definition: EventDefinition, step: Step, mark: str = "") -> Activity:
    """Return the activity of one reminder, at the place where the thing happened.

    Its key names the row first, so that it can be asked about before it is sent.
    """
    subject, portal = f"{row.pk}:{mark}{step.number}:{definition.pk}", str(getattr(row, "portal", ""))
    return announcements.activity_of(definition.trigger, subject, of, told, timezone.now(), portal, only=definition.pk)


def _expiring_coins(lot: WalletTransaction, definition: EventDefinition, step: Step, plan: Schedule, now: datetime) -> Activity:
    """Tell how many coins of a lot are left, and until when."""
    told = {
        "coins": lot.remaining,
        "expires_at": lot.expires_at,
        "days_left": plan.days_until(lot.expires_at, now) if lot.expires_at else None,
        "balance": lot.wallet.balance,
    }
    return _made(lot, lot.wallet.customer, told, definition, step)


def _expiring_coupon(coupon: Coupon, definition: EventDefinition, step: Step, plan: Schedule, now: datetime) -> Activity:
    """Tell which coupon ends, and when."""
    left = plan.days_until(coupon.expires_at, now) if coupon.expires_at else None
    told = {**properties.of_coupon(coupon), "days_left": left}
    return _made(coupon, coupon.customer, told, definition, step)


def _unused_coupon(coupon: Coupon, definition: EventDefinition, step: Step, _plan: Schedule, _now: datetime) -> Activity:
    """Tell which coupon was not used."""
    told = {**properties.of_coupon(coupon), "reminder_number": step.number}
    return _made(coupon, coupon.customer, told, definition, step)


def _unused_coins(wallet: Wallet, definition: EventDefinition, step: Step, plan: Schedule, now: datetime) -> Activity:
    """Tell how many coins lie unused, and for how long."""
    told = {
        "coins": wallet.balance,
        "balance": wallet.balance,
        "days_unused": -plan.days_until(wallet.changed_at, now),
        "reminder_number": step.number,
    }
    mark = f"{wallet.changed_at:%Y%m%dT%H%M%S%f}:"  # once they move, it begins anew
    return _made(wallet, wallet.customer, told, definition, step, mark)


def _incomplete_referral(row: Referral, definition: EventDefinition, step: Step, _plan: Schedule, _now: datetime) -> Activity:
    """Tell the friend that their gift still waits."""
    subject, more = f"{row.pk}:{step.number}:{definition.pk}", {"reminder_number": step.number}
    return announcements.friend_activity(
        definition.trigger, subject, row, timezone.now(), row.portal, only=definition.pk, more=more
    )


def _asked_again(review: Review, definition: EventDefinition, step: Step, _plan: Schedule, _now: datetime) -> Activity:
    """Ask once more."""
    told = {**properties.of_review(review), "reminder_number": step.number}
    return _made(review, review.customer, told, definition, step)


RULES: Mapping[str, Rule] = {
    "coinexpirynotify_create": Rule(_lots, "expires_at", "wallet__customer", True, _expiring_coins),
    "coupon_expiring": Rule(_coupons, "expires_at", "customer", True, _expiring_coupon),
    "unusedcouponrequest_create": Rule(_coupons, "created_at", "customer", False, _unused_coupon),
    "unusedwalletcoinrequest_create": Rule(_wallets, "changed_at", "customer", False, _unused_coins),
    "incompletereferralrequest_create": Rule(_referrals, "started_at", "customer", False, _incomplete_referral),
    "reviewrequest_create": Rule(_reviews, "requested_at", "customer", False, _asked_again),
}
