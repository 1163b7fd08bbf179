"""What the ledger tells the outbox: rows turned into activities, in the caller's database transaction."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

import events
from nectorbridge.loyalty.models import Coupon, Customer, Operation, WalletTransaction
from nectorbridge.loyalty.models.wallets import Kind


def transaction_created(entry: WalletTransaction) -> None:
    """Announce coins that came, were spent, or expired."""
    if entry.operation == Operation.CREDIT:
        trigger = "walletreward_create"
    else:
        trigger = "coins_expired" if entry.kind == Kind.EXPIRY else "coins_redeemed"
    _announce(trigger, str(entry.pk), entry.wallet.customer, _transaction(entry), entry.created_at, entry.portal)


def transaction_updated(entry: WalletTransaction) -> None:
    """Announce that the words of an existing transaction changed."""
    now = timezone.now()
    _announce(
        "wallettrasaction_update",
        revision(entry.pk, now),
        entry.wallet.customer,
        _transaction(entry),
        now,
        entry.portal,
    )


def coupon_created(coupon: Coupon) -> None:
    """Announce a new coupon."""
    _announce("coupon_create", str(coupon.pk), coupon.customer, _coupon(coupon), coupon.created_at, coupon.portal)


def coupon_updated(coupon: Coupon) -> None:
    """Announce that a coupon changed."""
    subject = revision(coupon.pk, coupon.updated_at)
    _announce("coupon_update", subject, coupon.customer, _coupon(coupon), coupon.updated_at, coupon.portal)


def coupon_redeemed(coupon: Coupon, portal: str) -> None:
    """Announce that a coupon was used, at the portal where it was used."""
    _announce("coupon_redeemed", str(coupon.pk), coupon.customer, _coupon(coupon), timezone.now(), portal)


def _announce(
    trigger: str, subject: str, customer: Customer, properties: dict[str, Any], occurred_at: datetime, portal: str
) -> None:
    """Record one activity under a key that names what happened."""
    person = {"user_tier": customer.tier, "user_referral_code": customer.referral_code}
    events.record(
        events.Activity(
            merchant_id=customer.merchant_id,
            trigger=trigger,
            customer_ref=customer.ref,
            recipient=customer.recipient,
            properties=properties | person,
            occurred_at=occurred_at,
            key=f"{trigger}:{subject}",
            portal=portal,
        )
    )


def _transaction(entry: WalletTransaction) -> dict[str, Any]:
    """Return the properties of a wallet transaction."""
    return {
        "coins": entry.amount,
        "balance": entry.balance_after,
        "operation": entry.operation,
        "title": entry.title or None,
        "transaction_id": str(entry.pk),
        "expires_at": entry.expires_at,
    }


def _coupon(coupon: Coupon) -> dict[str, Any]:
    """Return the properties of a coupon."""
    return {
        "coupon_code": coupon.code,
        "coupon_value_class": coupon.value_class,
        "coupon_value": _number(coupon.value),
        "minimum_cart_amount": _number(coupon.minimum_cart_amount),
        "coupon_expires_at": coupon.expires_at,
        "coupon_status": coupon.status,
    }


def _number(value: Any) -> int | float | None:
    """Return a decimal as the JSON number that says the same."""
    if value is None:
        return None
    number = Decimal(str(value))
    return int(number) if number == number.to_integral_value() else float(number)


def revision(pk: int, moment: datetime) -> str:
    """Return a subject that differs for each change of a row."""
    return f"{pk}:{moment:%Y%m%dT%H%M%S%f}"
