"""Orders and reviews of Nector's."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils.translation import gettext as _

from nectorbridge.loyalty import announcements, services
from nectorbridge.loyalty.models import Order, OrderStatus, Review, ReviewStatus
from nectorbridge.loyalty.nector.record import own_id

if TYPE_CHECKING:
    from nectorbridge.loyalty.nector.topics import News

ORDER_STATES = {
    "completed": OrderStatus.COMPLETED,
    "fulfilled": OrderStatus.COMPLETED,
    "delivered": OrderStatus.COMPLETED,
    "cancelled": OrderStatus.CANCELLED,
    "canceled": OrderStatus.CANCELLED,
    "refunded": OrderStatus.REFUNDED,
}  # pending and processing: placed
REVIEW_STATES = {
    "approved": ReviewStatus.APPROVED,
    "published": ReviewStatus.APPROVED,
    "rejected": ReviewStatus.REJECTED,
    "hidden": ReviewStatus.REJECTED,
}


def order(news: News) -> tuple[models.Model | None, ...]:
    """An order was placed or changed there."""
    record = news.record
    order_id = own_id(record.text("order_id", "id", "_id", longest=128))
    if not order_id:
        raise ValueError(_("It names no order."))
    state = ORDER_STATES.get(record.text("status").lower(), OrderStatus.PLACED)
    if record.text("financial_status").lower() == "refunded":
        state = OrderStatus.REFUNDED
    mine = Order.objects.select_for_update(of=("self",)).select_related("customer__merchant")
    known = mine.filter(customer=news.customer, order_id=order_id).first()
    if known is None:
        known = services.place_order(
            news.customer,
            order_id,
            total=abs(record.number("total", "total_price", "amount") or Decimal(0)),
            number=record.text("name", "number", "order_number", longest=60),
            discount_total=abs(record.number("discount_total", "total_discounts") or Decimal(0)),
            currency=record.text("currency", longest=3),
            coupon_code=_coupon_code(record.raw("discount_lines")),
            source=record.text("source_name", "source", "payment_source", longest=60),
            placed_at=record.moment("created_at", "placed_at") or news.as_of,
            portal=news.portal,
        )
    elif known.as_of is not None and news.as_of < known.as_of:
        return (known,)
    else:
        known = _changed(known, news)
    Order.objects.filter(pk=known.pk).update(as_of=news.as_of)
    return (_in_state(known, state, news),)


def _changed(known: Order, news: News) -> Order:
    """Bring an order's amounts up to date, and announce that they changed."""
    found = {
        "total": news.record.number("total", "total_price", "amount"),
        "discount_total": news.record.number("discount_total", "total_discounts"),
    }
    changed = {name: abs(value) for name, value in found.items() if value is not None and getattr(known, name) != abs(value)}
    if changed:
        for name, value in changed.items():
            setattr(known, name, value)
        known.save()
        announcements.order_updated(known, news.portal)
    return known


def _in_state(known: Order, state: OrderStatus, news: News) -> Order:
    """Bring an order into a state; one that was refunded or cancelled does not come back."""
    if state == known.status or known.status in (OrderStatus.REFUNDED, OrderStatus.CANCELLED):
        return known
    if state == OrderStatus.REFUNDED:
        return services.refund_order(known, portal=news.portal)
    if state != OrderStatus.PLACED:
        known.status = state
        known.save()
        announcements.order_updated(known, news.portal)
    return known


def _coupon_code(lines: Any) -> str:
    """Return the first code among an order's discounts."""
    for line in lines if isinstance(lines, list) else ():
        code = line.get("code") if isinstance(line, dict) else None
        if isinstance(code, str) and 0 < len(code) <= 64:
            return code
    return ""


def review(news: News) -> tuple[models.Model | None, ...]:
    """A review was written or changed there."""
    record = news.record
    rating = record.whole("rating")
    if rating is None or not 1 <= rating <= 5:
        raise ValueError(_("It has no rating from 1 to 5."))
    mine = Review.objects.select_for_update(of=("self",)).select_related("customer__merchant", "order")
    known = mine.filter(customer=news.customer, nector_id=news.key).first()
    state = REVIEW_STATES.get(record.text("status").lower(), ReviewStatus.SUBMITTED)
    if known is None:
        bought = Order.objects.filter(customer=news.customer, order_id=own_id(record.text("order_id", longest=128))).first()
        known = Review.objects.create(
            customer=news.customer,
            nector_id=news.key,
            order=bought,
            product_id=own_id(record.text("reference_product_id", "product_id", longest=128)),
            product_name=record.text("product_name", "reference_product_name"),
            status=ReviewStatus.SUBMITTED,
            rating=rating,
            text=record.text("description", "text", longest=10_000),
            is_verified=record.yes("is_verified") or bool(record.text("order_id")),
            submitted_at=record.moment("posted_at", "created_at") or news.as_of,
            portal=news.portal,
            as_of=news.as_of,
        )
    elif known.as_of is not None and news.as_of < known.as_of:
        return (known,)
    else:
        text = record.text("description", "text", longest=10_000)
        changed = (known.rating, known.text) != (rating, text or known.text)
        known.rating, known.text, known.as_of = rating, text or known.text, news.as_of
        known.save()
        if changed:
            announcements.review_updated(known, news.portal)
    return (_judged(known, state, news),)


def _judged(known: Review, state: ReviewStatus, news: News) -> Review:
    """Approve or reject a review as it was there."""
    if state == ReviewStatus.APPROVED and known.status != ReviewStatus.APPROVED:
        return services.approve_review(known, portal=news.portal)
    if state == ReviewStatus.REJECTED and known.status != ReviewStatus.REJECTED:
        return services.reject_review(known, portal=news.portal)
    return known
