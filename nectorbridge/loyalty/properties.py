"""What events say about rows of the ledger: flat values under the names of `events.triggers`. What is null is left out there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import quote

from nectorbridge.loyalty.models import Coupon, Order, Referral, Review, WalletTransaction


def of_order(order: Order) -> dict[str, Any]:
    """Return the properties of an order."""
    return {
        "order_id": order.order_id,
        "order_number": order.number or None,
        "order_status": order.status,
        "order_total": number(order.total),
        "order_discount": number(order.discount_total),
        "order_currency": order.currency or None,
        "coupon_code": order.coupon_code or None,
        "placed_at": order.placed_at,
    }


def of_review(review: Review) -> dict[str, Any]:
    """Return the properties of a review."""
    order = review.order
    return {
        "review_id": str(review.pk),
        "review_status": review.status,
        "rating": review.rating,
        "review_text": review.text or None,
        "product_id": review.product_id or None,
        "product_name": review.product_name or None,
        "is_verified": review.is_verified,
        "order_number": (order.number or order.order_id) if order else None,
    }


def of_referral(referral: Referral) -> dict[str, Any]:
    """Return the properties of a referral, for the one who refers. The friend's address is not theirs to be passed on."""
    return {
        "referral_id": str(referral.pk),
        "referral_status": referral.status,
        "friend_name": referral.friend_name or None,
        "coins": referral.reward_coins or None,
    }


def of_friend(referral: Referral) -> dict[str, Any]:
    """Return the properties of a referral, for the friend."""
    customer = referral.customer
    site, code = customer.merchant.website, customer.referral_code
    return {
        "referral_id": str(referral.pk),
        "referrer_name": customer.name or None,
        "referral_code": code or None,
        "referral_link": referral_link(site, code) if site and code else None,
        "coupon_code": referral.coupon_code or None,
    }


def referral_link(website: str, code: str) -> str:
    """Return the address of the store that carries a customer's code."""
    return f"{website}{'&' if '?' in website else '?'}ref={quote(code, safe='')}"


def of_transaction(entry: WalletTransaction) -> dict[str, Any]:
    """Return the properties of a wallet transaction."""
    return {
        "coins": entry.amount,
        "balance": entry.balance_after,
        "operation": entry.operation,
        "title": entry.title or None,
        "transaction_id": str(entry.pk),
        "expires_at": entry.expires_at,
    }


def of_coupon(coupon: Coupon) -> dict[str, Any]:
    """Return the properties of a coupon."""
    return {
        "coupon_code": coupon.code,
        "coupon_value_class": coupon.value_class,
        "coupon_value": number(coupon.value),
        "minimum_cart_amount": number(coupon.minimum_cart_amount),
        "coupon_expires_at": coupon.expires_at,
        "coupon_status": coupon.status,
    }


def number(value: Any) -> int | float | None:
    """Return a decimal as the JSON number that says the same."""
    if value is None:
        return None
    number = Decimal(str(value))
    return int(number) if number == number.to_integral_value() else float(number)
