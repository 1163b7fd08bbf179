"""Coins: given, taken, and taken back when their time is over."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from nectorbridge.loyalty import ledger
from nectorbridge.loyalty.models import Customer, Operation, WalletTransaction
from nectorbridge.loyalty.services import checks


def credit(
    customer: Customer, amount: int, title: str = "", expires_at: datetime | None = None, portal: str = ""
) -> WalletTransaction:
    """Give coins. Raises ValueError for an amount that is no whole number above zero, or a naive `expires_at`."""
    ledger.check_amount(amount)
    checks.aware(expires_at, "expires_at")
    return _move(customer, Operation.CREDIT, amount, title, portal, expires_at)


def debit(customer: Customer, amount: int, title: str = "", portal: str = "") -> WalletTransaction:
    """Take coins, those that expire first before others. Raises ValueError, or InsufficientBalance for an overdraft."""
    ledger.check_amount(amount)
    return _move(customer, Operation.DEBIT, amount, title, portal)


def _move(
    customer: Customer, operation: str, amount: int, title: str, portal: str, expires_at: datetime | None = None
) -> WalletTransaction:
    """Write one wallet transaction; saving it moves the balance and announces it."""
    checks.portal(portal)
    with transaction.atomic():
        wallet = ledger.open_wallet(customer.pk)
        wallet.customer = customer
        return WalletTransaction.objects.create(
            wallet=wallet, operation=operation, amount=amount, title=title, expires_at=expires_at, portal=portal
        )


def expire_coins(customer: Customer, now: datetime | None = None, portal: str = "") -> list[WalletTransaction]:
    """Take back coins whose time is over. Return the debits, one a lot. Safe to repeat: coins expire once."""
    checks.portal(portal)
    with transaction.atomic():
        wallet = ledger.lock(ledger.open_wallet(customer.pk).pk)
        return ledger.expire_lots(wallet, now or timezone.now(), portal)
