"""Wallet transactions of Nector's in a ledger that mirrors its."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext as _

from nectorbridge.loyalty import ledger
from nectorbridge.loyalty.models import Operation, Wallet, WalletTransaction

if TYPE_CHECKING:
    from nectorbridge.loyalty.nector.topics import News

BALANCES = ("balance", "available", "closing_balance", "wallet_balance", "balance_after")
AMOUNTS = ("amount", "coins", "points")
FAILED = frozenset({"failed", "failure", "cancelled", "canceled", "rejected", "declined", "pending", "expired"})


def transaction(news: News) -> tuple[models.Model | None, ...]:
    """Coins came or went: post them once, and have the balance that Nector says."""
    amount = news.record.whole(*AMOUNTS)
    if amount is None or amount == 0:
        raise ValueError(_("It says no amount of coins."))
    if news.record.text("status").lower() in FAILED:
        return ()  # nothing moved; should it come through, that is told as a change
    wallet = ledger.lock(ledger.open_wallet(news.customer.pk).pk)
    known = WalletTransaction.objects.filter(wallet=wallet, nector_id=news.key).first()
    if known is not None:
        return (known,)
    if ledger.expire_lots(wallet, news.as_of):  # a debit would do it by itself, after its balance was reckoned
        wallet = ledger.lock(wallet.pk)
    is_debit = news.record.text("operation").lower() in ("dr", "debit") or amount < 0
    return (_post(news, wallet, Operation.DEBIT if is_debit else Operation.CREDIT, abs(amount)),)


def _post(news: News, wallet: Wallet, operation: Operation, amount: int) -> WalletTransaction:
    """Post a transaction such that the balance afterwards is Nector's newest."""
    ledger.check_amount(amount)
    said, is_late = news.record.whole(*BALANCES), wallet.mirrored_at is not None and news.as_of < wallet.mirrored_at
    step = amount if operation == Operation.CREDIT else -amount
    after = said if said is not None and said >= 0 else max(0, wallet.balance + step)
    if is_late:  # the newer balance has it in it
        after = wallet.balance
    title = _("As Nector has it")
    ledger.adjust(wallet, max(0, after - step), title, news.as_of)
    wallet.customer = news.customer
    entry = WalletTransaction(
        wallet=wallet,
        operation=operation,
        amount=amount,
        title=news.record.text("title", "description", "reason"),
        expires_at=news.record.moment("expires_at", "expire", "expiry") if step > 0 else None,
        portal=news.portal,
        nector_id=news.key,
        created_at=news.as_of,
    )
    entry.save()
    wallet = ledger.lock(wallet.pk)
    ledger.adjust(wallet, after, title, news.as_of)
    if not is_late and said is not None:
        Wallet.objects.filter(pk=wallet.pk).update(mirrored_at=news.as_of)
    return entry


def transaction_changed(news: News) -> tuple[models.Model | None, ...]:
    """A transaction changed there: its words change here; one that is not known yet is posted."""
    wallet = ledger.lock(ledger.open_wallet(news.customer.pk).pk)
    known = (
        WalletTransaction.objects.select_related("wallet__customer__merchant").filter(wallet=wallet, nector_id=news.key).first()
    )
    if known is None:
        return transaction(news)
    title = news.record.text("title", "description", "reason")
    if title and title != known.title:  # otherwise it was told already
        known.title = title
        known.save()
    return (known,)
