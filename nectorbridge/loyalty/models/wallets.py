"""Wallets and their transactions. Balances move in `nectorbridge.loyalty.ledger` and nowhere else.

A credit is a *lot* of coins: `remaining` says how many of it are unspent, `expires_at` until when they are good. Debits
consume the lots that expire first. At every moment: balance = sum of credits - sum of debits = sum of `remaining`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.states import Portal
from nectorbridge.loyalty.models.customers import Customer


class LedgerError(Exception):
    """An attempt to change the ledger past its rules. The message says what to do instead."""


class Wallet(models.Model):
    """A customer's coins."""

    customer = models.OneToOneField(Customer, models.CASCADE, related_name="wallet", verbose_name=_("customer"))
    balance = models.PositiveBigIntegerField(_("balance"), default=0, editable=False)
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now, editable=False)  # set where the balance is
    # Of which moment the balance is that Nector said last, where this ledger mirrors Nector's. None: it never said one.
    mirrored_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=Q(balance__gte=0), name="balance_never_below_zero")]
        indexes = [models.Index(fields=["changed_at"], name="wallet_changed")]

    def __str__(self) -> str:
        """Return whose coins they are."""
        return f"{self.customer}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, without the balance: it moves with transactions only, and a stale copy must not bring it back."""
        if not self._state.adding:
            kwargs["update_fields"] = set(kwargs.get("update_fields") or ("customer",)) - {"balance", "changed_at", "mirrored_at"}
        super().save(*args, **kwargs)


class Operation(models.TextChoices):
    """Which way coins move, in Nector's words."""

    CREDIT = "cr", _("Credit")
    DEBIT = "dr", _("Debit")


class Kind(models.TextChoices):
    """Why coins move."""

    REWARD = "reward", _("Reward")
    REDEEM = "redeem", _("Redemption")
    EXPIRY = "expiry", _("Expiry")
    ADJUSTMENT = "adjust", _("Adjustment")  # so that a ledger that mirrors another has its balance; nobody is told


class TransactionQuerySet(models.QuerySet["WalletTransaction"]):
    """Refuses the bulk verbs that would move coins without moving the balance."""

    def _refuse(self, verb: str) -> NoReturn:
        raise LedgerError(f"{verb} would leave balances wrong. Use nectorbridge.loyalty.services, or save rows one by one.")

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: no balance would move and nothing would be announced."""
        self._refuse("bulk_create()")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: transactions do not change."""
        self._refuse("bulk_update()")

    def delete(self) -> NoReturn:
        """Refuse: a transaction is reversed by another one."""
        self._refuse("delete()")

    def update(self, **values: Any) -> int:
        """Refuse to rewrite what moved; other columns may change."""
        if {"wallet", "wallet_id", "operation", "amount", "remaining"} & set(values):
            self._refuse("update()")
        return super().update(**values)


class WalletTransaction(models.Model):
    """Coins that came or went. Saving a new one moves the balance and announces it, in one database transaction."""

    wallet = models.ForeignKey(Wallet, models.CASCADE, related_name="transactions", verbose_name=_("wallet"))
    operation = models.CharField(_("operation"), max_length=2, choices=Operation, default=Operation.CREDIT)
    amount = models.PositiveBigIntegerField(_("amount"))
    title = models.CharField(_("title"), max_length=200, blank=True, help_text=_("The reason, as the customer reads it."))
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True, help_text=_("Empty: these coins never expire."))
    portal = models.CharField(_("where it happened"), max_length=20, choices=Portal, blank=True)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.REWARD, editable=False)
    remaining = models.PositiveBigIntegerField(_("unspent"), default=0, editable=False)
    balance_after = models.PositiveBigIntegerField(_("balance after"), default=0, editable=False)
    nector_id = models.CharField(max_length=200, blank=True, editable=False)  # of the same transaction there
    created_at = models.DateTimeField(_("happened at"), default=timezone.now, editable=False)

    objects = TransactionQuerySet.as_manager()

    class Meta:
        verbose_name = _("wallet transaction")
        verbose_name_plural = _("wallet transactions")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="amount_above_zero"),
            models.CheckConstraint(condition=Q(remaining__lte=F("amount")), name="remaining_within_amount"),
            models.UniqueConstraint(fields=["wallet", "nector_id"], condition=~Q(nector_id=""), name="nectors_transaction_once"),
        ]
        indexes = [
            models.Index(fields=["wallet", "expires_at"], condition=Q(remaining__gt=0), name="lot_open"),
            models.Index(fields=["expires_at"], condition=Q(remaining__gt=0, expires_at__isnull=False), name="lot_expiring"),
        ]

    def __str__(self) -> str:
        """Return sign and amount."""
        return f"{'+' if self.operation == Operation.CREDIT else '-'}{self.amount}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Post a new transaction to the ledger; of an existing one change words only.

        Raises ValueError for an amount that is no positive integer, InsufficientBalance for an overdraft, and
        LedgerError where wallet, operation or amount of an existing transaction would change.
        """
        from nectorbridge.loyalty import ledger

        with transaction.atomic():
            if self._state.adding:
                ledger.post(self)
            else:
                ledger.check_unchanged(self)
            if self._state.adding:
                kwargs["force_insert"] = True  # with a key that is taken, Django would turn this into an update
            super().save(*args, **kwargs)
            if self._uses:
                ledger.note_uses(self)

    # Lots that this debit consumed, (lot id, amount), between posting and saving.
    _uses: tuple[tuple[int, int], ...] = ()

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a transaction is reversed by another one."""
        raise LedgerError("A wallet transaction is never deleted. Credit or debit the wallet instead.")


class LotUse(models.Model):
    """How many coins of one lot a debit consumed: what tells recovered coins from those that would have lasted."""

    lot = models.ForeignKey(WalletTransaction, models.CASCADE, related_name="uses")
    debit = models.ForeignKey(WalletTransaction, models.CASCADE, related_name="consumed")
    amount = models.PositiveBigIntegerField()

    class Meta:
        verbose_name = _("use of a lot")
        verbose_name_plural = _("uses of lots")
        constraints = [models.UniqueConstraint(fields=["lot", "debit"], name="lot_use_once")]

    def __str__(self) -> str:
        """Return amount and lot."""
        return f"{self.amount} of lot {self.lot_id}"
