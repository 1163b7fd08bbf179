"""Which announcements later activity has overtaken: a coupon used or expired meanwhile, coins spent before they expired.

Asked right before sending. A key is the one under which the activity was announced: the trigger, then what it is about
(`nectorbridge.loyalty.announcements`): a coupon's key, its key and the time of the change, or the key of a lot of coins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from nectorbridge.loyalty.announcements import revision
from nectorbridge.loyalty.models import (
    Coupon,
    CouponStatus,
    Referral,
    ReferralStatus,
    Review,
    ReviewStatus,
    Wallet,
    WalletTransaction,
)
from nectorbridge.loyalty.references import key_of

Subjects = Mapping[str, tuple[int, str]]  # by the activity's key: the row's key, and the rest of the subject
Answer = dict[str, str | None]


def still_relevant(trigger: str, keys: Collection[str], now: datetime) -> Answer:
    """Return a reason in words for each activity that is no longer worth sending, None for the others."""
    judge = JUDGES.get(trigger)
    subjects = {key: subject for key in keys if (subject := _subject(trigger, key))}
    return judge(subjects, now) if judge and subjects else {}


def _subject(trigger: str, key: str) -> tuple[int, str] | None:
    """Return what a key is about, or None for a key of somebody else's making."""
    name, _colon, subject = key.partition(":")
    text, _colon, rest = subject.partition(":")
    pk = key_of(text)
    return (pk, rest) if pk and name == trigger else None


def coupon_over(coupon: Coupon, now: datetime) -> str | None:
    """Return why a coupon is of no more use, or None."""
    if coupon.status == CouponStatus.REDEEMED:
        return _("The coupon was used meanwhile.")
    if coupon.status == CouponStatus.CANCELLED:
        return _("The coupon was cancelled meanwhile.")
    if coupon.status == CouponStatus.EXPIRED or (coupon.expires_at is not None and coupon.expires_at <= now):
        return _("The coupon expired before it could be sent.")
    return None


def _coupons(subjects: Subjects, now: datetime) -> Answer:
    """Judge invitations to use a coupon: worthless once it is over."""
    coupons = Coupon.objects.in_bulk({pk for pk, _rest in subjects.values()})
    return {key: coupon_over(coupons[pk], now) for key, (pk, _rest) in subjects.items() if pk in coupons}


def _coupon_changes(subjects: Subjects, now: datetime) -> Answer:
    """Judge news of a change. That a coupon was used or cancelled is itself such news: only an older change is overtaken."""
    coupons = Coupon.objects.in_bulk({pk for pk, _rest in subjects.values()})
    answer: Answer = {}
    for key, (pk, rest) in subjects.items():
        coupon = coupons.get(pk)
        if coupon is not None:
            is_last = rest == revision(coupon.pk, coupon.updated_at).partition(":")[2]
            answer[key] = None if is_last and coupon.status != CouponStatus.ISSUED else coupon_over(coupon, now)
    return answer


def _expiring_coins(subjects: Subjects, now: datetime) -> Answer:
    """Judge warnings that a lot of coins is about to expire: worthless once it is spent or has expired."""
    lots = WalletTransaction.objects.in_bulk({pk for pk, _rest in subjects.values()})
    answer: Answer = {}
    for key, (pk, _rest) in subjects.items():
        lot = lots.get(pk)
        if lot is None:
            continue
        if lot.expires_at is not None and lot.expires_at <= now:
            answer[key] = _("The coins expired before it could be sent.")
        else:
            answer[key] = None if lot.remaining else _("The coins were spent meanwhile.")
    return answer


def _unused_coins(subjects: Subjects, now: datetime) -> Answer:
    """Judge reminders of coins that lie unused: worthless once they have moved."""
    wallets = Wallet.objects.in_bulk({pk for pk, _rest in subjects.values()})
    answer: Answer = {}
    for key, (pk, rest) in subjects.items():
        if wallet := wallets.get(pk):
            is_as_it_was = rest.startswith(f"{wallet.changed_at:%Y%m%dT%H%M%S%f}:")
            answer[key] = None if is_as_it_was else _("The coins moved meanwhile.")
    return answer


def _while(model: Any, status: str, over: Any) -> Callable[[Subjects, datetime], Answer]:
    """Return a judge of reminders that are worth something only as long as their row has this status."""

    def judge(subjects: Subjects, now: datetime) -> Answer:
        rows = model.objects.in_bulk({pk for pk, _rest in subjects.values()})
        return {key: None if rows[pk].status == status else str(over) for key, (pk, _rest) in subjects.items() if pk in rows}

    return judge


JUDGES: Mapping[str, Callable[[Subjects, datetime], Answer]] = {
    "coupon_create": _coupons,
    "coupon_expiring": _coupons,
    "unusedcouponrequest_create": _coupons,
    "coupon_update": _coupon_changes,
    "coinexpirynotify_create": _expiring_coins,
    "unusedwalletcoinrequest_create": _unused_coins,
    "incompletereferralrequest_create": _while(
        Referral, ReferralStatus.STARTED, gettext_lazy("The referral was completed or cancelled meanwhile.")
    ),
    "reviewrequest_create": _while(Review, ReviewStatus.REQUESTED, gettext_lazy("The review was written meanwhile.")),
}
