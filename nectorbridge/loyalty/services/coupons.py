"""Coupons: issued and used."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from nectorbridge.loyalty import announcements
from nectorbridge.loyalty.models import Coupon, CouponStatus, Customer, ValueClass
from nectorbridge.loyalty.services import checks


class CouponError(ValueError):
    """A coupon cannot be made or used like that. The message says why."""


def create_coupon(
    customer: Customer,
    code: str,
    value_class: str,
    value: Decimal | int | float | str,
    minimum_cart_amount: Decimal | int | float | str | None = None,
    expires_at: datetime | None = None,
    portal: str = "",
) -> Coupon:
    """Issue a coupon. Raises CouponError for an empty code, an unknown kind or an impossible value."""
    checks.portal(portal)
    checks.aware(expires_at, "expires_at")
    amount = checks.amount(value, "value", CouponError)
    if not code.strip():
        raise CouponError("A coupon needs a code.")
    if value_class not in ValueClass.values:
        raise CouponError(f"value_class must be one of {', '.join(ValueClass.values)}; got {value_class!r}")
    if value_class == ValueClass.PERCENT and amount > 100:
        raise CouponError("A coupon cannot take more than 100 per cent off.")
    return Coupon.objects.create(
        customer=customer,
        code=code.strip(),
        value_class=value_class,
        value=amount,
        minimum_cart_amount=None
        if minimum_cart_amount is None
        else checks.amount(minimum_cart_amount, "minimum_cart_amount", CouponError),
        expires_at=expires_at,
        portal=portal,
    )


def redeem_coupon(coupon: Coupon, portal: str = "", redeemed_at: datetime | None = None) -> Coupon:
    """Mark a coupon as used, once: now, or at an aware moment. Raises CouponError where it is used, expired or cancelled."""
    checks.portal(portal)
    checks.aware(redeemed_at, "redeemed_at")
    with transaction.atomic():
        coupon = Coupon.objects.select_for_update().select_related("customer__merchant").get(pk=coupon.pk)
        if coupon.status != CouponStatus.ISSUED:
            raise CouponError(f"Coupon {coupon.code} is {coupon.get_status_display().lower()} already.")
        coupon.status, coupon.redeemed_at = CouponStatus.REDEEMED, redeemed_at or timezone.now()
        coupon.save(update_fields=["status", "redeemed_at", "updated_at"])
        announcements.coupon_redeemed(coupon, portal)
    return coupon
