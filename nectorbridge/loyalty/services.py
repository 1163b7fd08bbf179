"""What may happen in the ledger. Each service is one database transaction, takes the portal it happened in, and returns
the row it wrote; what it did is announced in the same transaction.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from events.states import Portal
from nectorbridge.loyalty import announcements, ledger
from nectorbridge.loyalty.ledger import InsufficientBalance
from nectorbridge.loyalty.models import Coupon, CouponStatus, Customer, Operation, ValueClass, WalletTransaction

__all__ = ["InsufficientBalance", "create_coupon", "credit", "debit", "expire_coins", "redeem_coupon"]


LARGEST_VALUE = Decimal(10) ** 10  # what the column holds
CENT = Decimal("0.01")


class CouponError(ValueError):
    """A coupon cannot be made or used like that. The message says why."""


def credit(
    customer: Customer, amount: int, title: str = "", expires_at: datetime | None = None, portal: str = ""
) -> WalletTransaction:
    """Give coins. Raises ValueError for an amount that is no whole number above zero, or a naive `expires_at`."""
    ledger.check_amount(amount)
    _check_time(expires_at, "expires_at")
    return _move(customer, Operation.CREDIT, amount, title, portal, expires_at)


def debit(customer: Customer, amount: int, title: str = "", portal: str = "") -> WalletTransaction:
    """Take coins, those that expire first before others. Raises ValueError, or InsufficientBalance for an overdraft."""
    ledger.check_amount(amount)
    return _move(customer, Operation.DEBIT, amount, title, portal)


def _move(
    customer: Customer, operation: str, amount: int, title: str, portal: str, expires_at: datetime | None = None
) -> WalletTransaction:
    """Write one wallet transaction; saving it moves the balance and announces it."""
    _check_portal(portal)
    with transaction.atomic():
        wallet = ledger.open_wallet(customer.pk)
        wallet.customer = customer
        return WalletTransaction.objects.create(
            wallet=wallet, operation=operation, amount=amount, title=title, expires_at=expires_at, portal=portal
        )


def expire_coins(customer: Customer, now: datetime | None = None, portal: str = "") -> list[WalletTransaction]:
    """Take back coins whose time is over. Return the debits, one a lot. Safe to repeat: coins expire once."""
    _check_portal(portal)
    with transaction.atomic():
        wallet = ledger.lock(ledger.open_wallet(customer.pk).pk)
        return ledger.expire_lots(wallet, now or timezone.now(), portal)


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
    _check_portal(portal)
    _check_time(expires_at, "expires_at")
    amount = _decimal(value, "value")
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
        minimum_cart_amount=None if minimum_cart_amount is None else _decimal(minimum_cart_amount, "minimum_cart_amount"),
        expires_at=expires_at,
        portal=portal,
    )


def redeem_coupon(coupon: Coupon, portal: str = "") -> Coupon:
    """Mark a coupon as used, once. Raises CouponError where it is used, expired or cancelled already."""
    _check_portal(portal)
    with transaction.atomic():
        coupon = Coupon.objects.select_for_update().select_related("customer__merchant").get(pk=coupon.pk)
        if coupon.status != CouponStatus.ISSUED:
            raise CouponError(f"Coupon {coupon.code} is {coupon.get_status_display().lower()} already.")
        coupon.status = CouponStatus.REDEEMED
        coupon.save(update_fields=["status", "updated_at"])
        announcements.coupon_redeemed(coupon, portal)
    return coupon


def _decimal(value: Any, name: str) -> Decimal:
    """Return a number that is not negative."""
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        raise CouponError(f"{name} must be a number; got {value!r}") from None
    if not number.is_finite() or not 0 <= number < LARGEST_VALUE:
        raise CouponError(f"{name} must be from 0 to less than {LARGEST_VALUE}; got {value!r}")
    return number.quantize(CENT)


def _check_portal(portal: str) -> None:
    """Refuse a portal that no event could name."""
    if portal not in ledger.PORTALS - {Portal.ALL}:
        raise ValueError(f"portal must be online_store, pos, app or empty; got {portal!r}")


def _check_time(moment: datetime | None, name: str) -> None:
    """Refuse a time without a zone."""
    if moment is not None and moment.utcoffset() is None:
        raise ValueError(f"{name} must be an aware time")
