"""Orders: placed and refunded."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils import timezone

from nectorbridge.loyalty import announcements
from nectorbridge.loyalty.models import Customer, Order, OrderStatus
from nectorbridge.loyalty.services import checks

Number = Decimal | int | float | str


class OrderError(ValueError):
    """An order cannot be placed or refunded like that. The message says why."""


def place_order(
    customer: Customer,
    order_id: str,
    total: Number,
    number: str = "",
    discount_total: Number = 0,
    currency: str = "",
    coupon_code: str = "",
    source: str = "",
    placed_at: datetime | None = None,
    portal: str = "",
) -> Order:
    """Write down an order. Raises OrderError without an ID, for one that is there already, or for an impossible amount."""
    checks.portal(portal)
    checks.aware(placed_at, "placed_at")
    order_id = checks.fits(order_id, 128, "order_id")
    if not order_id:
        raise OrderError("An order needs an ID.")
    try:
        with transaction.atomic():
            return Order.objects.create(
                customer=customer,
                order_id=order_id,
                number=checks.fits(number, 60, "number"),
                total=checks.amount(total, "total", OrderError),
                discount_total=checks.amount(discount_total, "discount_total", OrderError),
                currency=currency.strip().upper()[:3] or customer.merchant.currency,
                coupon_code=checks.fits(coupon_code, 64, "coupon_code"),
                source=source.strip()[:60],
                placed_at=placed_at or timezone.now(),
                portal=portal,
            )
    except IntegrityError:
        raise OrderError(f"Order {order_id} is there already.") from None


def refund_order(order: Order, amount: Number | None = None, portal: str = "") -> Order:
    """Give money back for an order: all of it, or so much. Raises OrderError where there is not so much left to give back."""
    checks.portal(portal)
    with transaction.atomic():
        order = Order.objects.select_for_update(of=("self",)).select_related("customer__merchant").get(pk=order.pk)
        left = order.total - order.refunded_total
        wanted = left if amount is None else checks.amount(amount, "amount", OrderError)
        if order.status == OrderStatus.REFUNDED or wanted > left:
            raise OrderError(f"Of order {order} {left} is left to refund.")
        order.refunded_total += wanted
        order.refunded_at = timezone.now()
        if order.refunded_total >= order.total:
            order.status = OrderStatus.REFUNDED
        order.save(update_fields=["refunded_total", "refunded_at", "status", "updated_at"])
        announcements.order_refunded(order, wanted, portal)
    return order
