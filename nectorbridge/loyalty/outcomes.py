"""What customers did after they were reached, or would have been: bought, used a coupon, said no, spent coins in time.

One statement a question, by the index of its customers, however many there are; each row is then held against the time of
its own customer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from events.host import Exposure, Outcome
from events.worth_measures import EXPIRING_COINS
from integrations.models import Merchant
from nectorbridge.loyalty.announcements import friend_ref
from nectorbridge.loyalty.models import (
    Consent,
    ConsentChange,
    Coupon,
    CouponStatus,
    Customer,
    LotUse,
    Operation,
    Order,
    OrderStatus,
    Referral,
    ReferralStatus,
    Review,
    WalletTransaction,
)
from nectorbridge.loyalty.models.wallets import Kind
from nectorbridge.loyalty.references import key_of

FRIENDS_TRIGGERS = ("refereenotify_create", "incompletereferralrequest_create")  # their key names the referral first
NOT_BOUGHT = (OrderStatus.CANCELLED, OrderStatus.REFUNDED)
Asked = Mapping[int, Exposure]  # by the customer's key


def of(merchant_id: int, trigger: str, exposures: Sequence[Exposure]) -> dict[str, Outcome]:
    """Return what each of these customers did within their own time; whom the ledger does not know it leaves out."""
    by_key = {key: exposure for exposure in exposures if (key := key_of(exposure.ref))}
    known = set(Customer.objects.filter(merchant=merchant_id, pk__in=by_key).order_by().values_list("pk", flat=True))
    asked = {key: exposure for key, exposure in by_key.items() if key in known}
    currency = Merchant.objects.values_list("currency", flat=True).get(pk=merchant_id)
    bought, revenue = _orders(asked, currency)
    coupons, no, referred, reviewed = _coupons(asked), _opted_out(asked), _referrals(asked), _reviews(asked)
    spent = _coins(asked) if trigger == EXPIRING_COINS else {}
    found = {
        exposure.ref: Outcome(
            has_ordered=key in bought,
            revenue=revenue.get(key, Decimal(0)),
            has_used_coupon=key in coupons,
            has_opted_out=key in no,
            has_completed_referral=key in referred,
            has_written_review=key in reviewed,
            coins_spent=spent.get(key, 0),
        )
        for key, exposure in asked.items()
    }
    if trigger in FRIENDS_TRIGGERS:
        found |= _friends(merchant_id, [exposure for exposure in exposures if not key_of(exposure.ref)])
    return found


def _within(asked: Asked, rows: QuerySet[Any], moment: str, *columns: str, whose: str = "customer") -> Iterator[tuple[Any, ...]]:
    """Yield the key of the customer and these columns of each row that happened within its customer's own time."""
    if not asked:
        return
    times = list(asked.values())
    first, last = min(item.since for item in times), max(item.until for item in times)
    rows = rows.filter(**{f"{whose}__in": list(asked), f"{moment}__gt": first, f"{moment}__lte": last}).order_by()
    for key, when, *values in rows.values_list(whose, moment, *columns).iterator(chunk_size=2000):
        if _counts(asked[key], when):
            yield key, *values


def _counts(exposure: Exposure, moment: datetime | None) -> bool:
    """Tell whether something happened within an exposure's time."""
    return moment is not None and exposure.since < moment <= exposure.until


# --- For any event -----------------------------------------------------------------------------------------------------------
def _orders(asked: Asked, currency: str) -> tuple[set[int], dict[int, Decimal]]:
    """Return who bought something and kept it, and what they paid for it in that currency, less what they got back."""
    bought: set[int] = set()
    revenue: dict[int, Decimal] = defaultdict(Decimal)
    kept = Order.objects.exclude(status__in=NOT_BOUGHT)
    for key, total, refunded, paid_in in _within(asked, kept, "placed_at", "total", "refunded_total", "currency"):
        bought.add(key)
        if paid_in in ("", currency):
            revenue[key] += total - refunded
    return bought, revenue


def _coupons(asked: Asked) -> set[int]:
    """Return who used a coupon: one is marked as used, or an order names one."""
    used = Coupon.objects.filter(status=CouponStatus.REDEEMED)
    named = Order.objects.exclude(coupon_code="").exclude(status=OrderStatus.CANCELLED)
    return {key for (key,) in _within(asked, used, "redeemed_at")} | {key for (key,) in _within(asked, named, "placed_at")}


def _opted_out(asked: Asked) -> set[int]:
    """Return who said no on a channel on which they had not said so before."""
    no = ConsentChange.objects.filter(consent=Consent.UNSUBSCRIBED, is_applied=True).exclude(former=Consent.UNSUBSCRIBED)
    return {key for (key,) in _within(asked, no, "occurred_at")}


def _reviews(asked: Asked) -> set[int]:
    """Return who wrote a review."""
    return {key for (key,) in _within(asked, Review.objects.all(), "submitted_at")}


def _referrals(asked: Asked) -> set[int]:
    """Return of whom a referral was completed, as the one who referred or as the friend."""
    done = Referral.objects.filter(status=ReferralStatus.COMPLETED)
    return {key for whose in ("customer", "friend") for (key,) in _within(asked, done, "completed_at", whose=whose)}


# --- For some ----------------------------------------------------------------------------------------------------------------
def _friends(merchant_id: int, exposures: Sequence[Exposure]) -> dict[str, Outcome]:
    """Return whether the referral was completed of which friends were told who are no customers yet. Nothing else is known."""
    by_referral = {number: exposure for exposure in exposures if (number := _row_of(exposure.key))}
    rows = Referral.objects.filter(pk__in=by_referral, customer__merchant=merchant_id).order_by()
    found = {}
    for pk, email, phone, completed_at in rows.values_list("pk", "friend_email", "friend_phone", "completed_at"):
        exposure = by_referral[pk]
        if friend_ref(merchant_id, email, phone) == exposure.ref:
            found[exposure.ref] = Outcome(has_completed_referral=_counts(exposure, completed_at))
    return found


def _coins(asked: Asked) -> dict[int, int]:
    """Return how many of the coins that a reminder named were spent before they expired, by customer.

    A reminder of ours names a lot, and the ledger knows what each debit took from it. One that Nector sent names an amount only:
    of that, what was spent from the wallet counts, up to the amount.
    """
    lots = {number: key for key, exposure in asked.items() if (number := _row_of(exposure.key))}
    spent: dict[int, int] = defaultdict(int)
    uses = LotUse.objects.filter(lot__in=lots, debit__kind=Kind.REDEEM).order_by()
    columns = uses.values_list("lot_id", "lot__wallet__customer_id", "debit__created_at", "amount")
    for lot, owner, moment, amount in columns:
        if owner == lots[lot] and _in_time(asked[owner], moment):
            spent[owner] += amount
    others = {key: exposure for key, exposure in asked.items() if key not in set(lots.values())}
    debits = WalletTransaction.objects.filter(operation=Operation.DEBIT, kind=Kind.REDEEM)
    for key, moment, amount in _within(others, debits, "created_at", "created_at", "amount", whose="wallet__customer"):
        if _in_time(others[key], moment):
            spent[key] += amount
    return {key: min(amount, asked[key].coins) for key, amount in spent.items()}


def _in_time(exposure: Exposure, moment: datetime) -> bool:
    """Tell whether coins were spent within an exposure's time and before they expired."""
    return _counts(exposure, moment) and (exposure.ends_at is None or moment <= exposure.ends_at)


def _row_of(key: str) -> int:
    """Return the key of the row that an activity is about, by its own key; 0 for one that names no row of ours."""
    return key_of(key.partition(":")[2].partition(":")[0])
