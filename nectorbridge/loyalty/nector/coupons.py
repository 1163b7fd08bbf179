"""Coupons of Nector's. On its wire `value` is the code; here it is the discount."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils.translation import gettext as _

from nectorbridge.loyalty import services
from nectorbridge.loyalty.models import Coupon, CouponStatus, ValueClass
from nectorbridge.loyalty.properties import number

if TYPE_CHECKING:
    from nectorbridge.loyalty.nector.record import Record
    from nectorbridge.loyalty.nector.topics import News

STATES = {
    "issued": CouponStatus.ISSUED,
    "active": CouponStatus.ISSUED,
    "success": CouponStatus.ISSUED,
    "redeemed": CouponStatus.REDEEMED,
    "used": CouponStatus.REDEEMED,
    "consumed": CouponStatus.REDEEMED,
    "expired": CouponStatus.EXPIRED,
    "cancelled": CouponStatus.CANCELLED,
    "canceled": CouponStatus.CANCELLED,
    "revoked": CouponStatus.CANCELLED,
}
CODES = ("value", "code", "coupon_code")
PERCENT = ("percent", "percentage")


def coupon(news: News) -> tuple[models.Model | None, ...]:
    """A coupon was made or changed there."""
    code = news.record.text(*CODES, longest=64)
    if not code:
        raise ValueError(_("It names no coupon code."))
    found = Coupon.objects.select_for_update(of=("self",)).select_related("customer__merchant")
    known = found.filter(customer=news.customer, code=code).first()
    state = STATES.get(news.record.text("status").lower(), CouponStatus.ISSUED)
    if known is None:
        known = services.create_coupon(
            news.customer, code, _class(news.record), portal=news.portal, **_values(news.record), value=_value(news.record)
        )
        Coupon.objects.filter(pk=known.pk).update(as_of=news.as_of)
        known.as_of = news.as_of
        return (known if state == CouponStatus.ISSUED else _changed(known, state, news),)
    if known.as_of is not None and news.as_of < known.as_of:
        return (known,)  # it comes late: what is here is newer
    return (_changed(known, state, news),)


def _changed(known: Coupon, state: CouponStatus, news: News) -> Coupon:
    """Bring a coupon up to date. That it was used is told as such, and only once; a used one does not come back."""
    if state == CouponStatus.REDEEMED and known.status == CouponStatus.ISSUED:
        return services.redeem_coupon(known, news.portal, news.as_of)
    values = {name: value for name, value in _values(news.record).items() if value is not None}
    if known.status == CouponStatus.ISSUED:
        values["status"] = state
    if news.record.raw("fiat_value") is not None:
        values |= {"value": _value(news.record), "value_class": _class(news.record)}
    changed = {name: value for name, value in values.items() if getattr(known, name) != value}
    known.as_of = news.as_of
    for name, value in changed.items():
        setattr(known, name, value)
    if changed:
        known.save()
    else:
        Coupon.objects.filter(pk=known.pk).update(as_of=news.as_of)
    return known


def _class(record: Record) -> str:
    return ValueClass.PERCENT if record.text("fiat_class", "value_class").lower() in PERCENT else ValueClass.AMOUNT


def _value(record: Record) -> Decimal:
    """Return the discount; a percentage above 100 is taken for 100."""
    found = abs(record.number("fiat_value", "discount", "discount_value") or Decimal(0))
    return min(found, Decimal(100)) if _class(record) == ValueClass.PERCENT else found


def _values(record: Record) -> dict[str, Any]:
    least = record.number("minimumcart_amount", "minimum_cart_amount")
    return {
        "minimum_cart_amount": least if least is not None and least >= 0 else None,
        "expires_at": record.moment("expire", "expires_at", "expiry"),
    }


def properties(record: Record) -> dict[str, Any]:
    """Return a coupon that a reminder is about, as properties."""
    found = {
        "coupon_code": record.text(*CODES, longest=64) or None,
        "coupon_value_class": _class(record) if record.raw("fiat_class") else None,
        "coupon_value": number(record.number("fiat_value")),
        "minimum_cart_amount": number(_values(record)["minimum_cart_amount"]),
        "coupon_expires_at": _values(record)["expires_at"],
    }
    return {name: value for name, value in found.items() if value is not None}
