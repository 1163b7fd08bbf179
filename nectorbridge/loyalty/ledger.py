"""Where balances move. One wallet at a time, under its lock, inside the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models, transaction
from django.db.models import F, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from events.states import Portal
from integrations.providers.values import clean_text
from nectorbridge.loyalty.models import LotUse, Operation, Wallet, WalletTransaction
from nectorbridge.loyalty.models.wallets import Kind, LedgerError

MOST_COINS = 10**15  # of one transaction; wallets hold thousands of times that
FROZEN = ("wallet_id", "operation", "amount", "remaining", "balance_after", "kind")


LONGEST_TITLE = 200  # characters
PORTALS = frozenset({"", *Portal.values})


class InsufficientBalance(Exception):
    """A debit asks for more coins than the wallet has. `balance` is what there is."""

    def __init__(self, balance: int, wanted: int) -> None:
        """Keep both numbers."""
        super().__init__(f"The wallet has {balance}, {wanted} were asked for.")
        self.balance = balance
        self.wanted = wanted


def lock(wallet_id: int) -> Wallet:
    """Return the wallet, locked until the transaction ends. SQLite's write lock is held already."""
    return Wallet.objects.select_for_update().get(pk=wallet_id)


def check_amount(amount: Any) -> None:
    """Refuse amounts that are no positive whole number of coins."""
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 < amount <= MOST_COINS:
        raise ValueError(f"amount must be a whole number above zero, at most {MOST_COINS}; got {amount!r}")


def post(entry: WalletTransaction) -> None:
    """Move the balance for a transaction that is about to be inserted, and fill in what follows from it."""
    check_amount(entry.amount)
    entry.title = clean_text(entry.title)
    if len(entry.title) > LONGEST_TITLE:
        raise ValueError(f"title must have at most {LONGEST_TITLE} characters; got {len(entry.title)}")
    if entry.portal not in PORTALS:
        raise ValueError(f"portal must be one of {sorted(PORTALS)}; got {entry.portal!r}")
    if entry.operation not in Operation.values:
        raise ValueError(f"operation must be one of {', '.join(Operation.values)}; got {entry.operation!r}")
    wallet = lock(entry.wallet_id)
    if entry.operation == Operation.CREDIT:
        entry.remaining = entry.amount
        wallet.balance += entry.amount
    else:
        if entry.kind == Kind.REWARD:
            entry.kind = Kind.REDEEM
        if entry.kind not in (Kind.EXPIRY, Kind.ADJUSTMENT):
            wallet.balance -= sum(expired.amount for expired in expire_lots(wallet, entry.created_at))
        entry.remaining = 0
        if wallet.balance < entry.amount:
            raise InsufficientBalance(wallet.balance, entry.amount)
        if not entry._uses:
            entry._uses = consume(wallet, entry.amount)
        wallet.balance -= entry.amount
    Wallet.objects.filter(pk=wallet.pk).update(balance=wallet.balance, changed_at=timezone.now())
    entry.balance_after = wallet.balance
    if "wallet" in entry._state.fields_cache:
        entry.wallet.balance = wallet.balance


def consume(wallet: Wallet, amount: int) -> tuple[tuple[int, int], ...]:
    """Take coins out of the lots that expire first, those without expiry last. Return (lot id, amount) pairs."""
    lots = WalletTransaction.objects.filter(wallet=wallet, remaining__gt=0).order_by(F("expires_at").asc(nulls_last=True), "id")
    uses = []
    for lot_id, remaining in lots.values_list("id", "remaining"):
        taken = min(remaining, amount)
        uses.append((lot_id, taken))
        amount -= taken
        if not amount:
            break
    if amount:
        raise LedgerError(f"Wallet {wallet.pk} has fewer coins in its lots than in its balance. Run: manage.py doctor")
    _take(uses)
    return tuple(uses)


def _take(uses: list[tuple[int, int]]) -> None:
    """Lower `remaining` of each lot. The plain queryset is used on purpose: this is the one place that may."""
    for lot_id, taken in uses:
        models.QuerySet(WalletTransaction).filter(pk=lot_id).update(remaining=F("remaining") - taken)


def note_uses(entry: WalletTransaction) -> None:
    """Write down which lots a debit consumed."""
    LotUse.objects.bulk_create(LotUse(lot_id=lot_id, debit=entry, amount=amount) for lot_id, amount in entry._uses)
    entry._uses = ()


def expire_lots(wallet: Wallet, now: datetime, portal: str = "") -> list[WalletTransaction]:
    """Take back the coins of this wallet whose time is over. Return the debits, one a lot."""
    overdue = WalletTransaction.objects.filter(wallet=wallet, remaining__gt=0, expires_at__lte=now).order_by("expires_at", "id")
    expired = []
    for lot in overdue:
        _take([(lot.pk, lot.remaining)])
        entry = WalletTransaction(
            wallet=wallet,
            operation=Operation.DEBIT,
            kind=Kind.EXPIRY,
            amount=lot.remaining,
            title=lot.title,
            expires_at=lot.expires_at,
            portal=portal or lot.portal,
        )
        entry._uses = ((lot.pk, lot.remaining),)
        entry.save()
        expired.append(entry)
    return expired


def check_unchanged(entry: WalletTransaction) -> None:
    """Refuse to rewrite what moved."""
    before = WalletTransaction.objects.filter(pk=entry.pk).values_list(*FROZEN).first()
    if before is not None and before != tuple(getattr(entry, name) for name in FROZEN):
        raise LedgerError("Wallet, operation and amount of a transaction never change. Credit or debit the wallet instead.")


def unbalanced() -> models.QuerySet[Wallet]:
    """Return the wallets whose balance is not the sum of their transactions. There should be none, ever."""

    def total(operation: str) -> Any:
        mine = WalletTransaction.objects.filter(wallet=models.OuterRef("pk"), operation=operation).order_by()
        return Coalesce(models.Subquery(mine.values("wallet").annotate(total=Sum("amount")).values("total")), 0)

    return Wallet.objects.annotate(moved=total(Operation.CREDIT) - total(Operation.DEBIT)).exclude(balance=F("moved"))


def take_over(mine: Wallet, theirs: Wallet) -> None:
    """Move a wallet's whole history into another one; both are locked. Lots and debits go together, so sums stay right."""
    rows: models.QuerySet[WalletTransaction] = models.QuerySet(WalletTransaction).filter(wallet=theirs)
    known = WalletTransaction.objects.filter(wallet=mine).exclude(nector_id="").values("nector_id")
    rows.filter(nector_id__in=known).update(nector_id="")  # both mirrored it; one name is enough
    rows.update(wallet=mine)
    mine.balance += theirs.balance
    said = [moment for moment in (mine.mirrored_at, theirs.mirrored_at) if moment is not None]
    Wallet.objects.filter(pk=theirs.pk).update(balance=0)
    Wallet.objects.filter(pk=mine.pk).update(balance=mine.balance, mirrored_at=max(said, default=None), changed_at=timezone.now())


def adjust(wallet: Wallet, wanted: int, title: str, moment: datetime) -> WalletTransaction | None:
    """Bring a locked wallet to a balance that another ledger said, with an entry of which nobody is told. None: it is there."""
    difference = wanted - wallet.balance
    if not difference:
        return None
    entry = WalletTransaction(
        wallet=wallet,
        operation=Operation.CREDIT if difference > 0 else Operation.DEBIT,
        kind=Kind.ADJUSTMENT,
        amount=abs(difference),
        title=title,
        created_at=moment,
    )
    entry.save()
    wallet.balance = wanted
    return entry


def open_wallet(customer_id: int) -> Wallet:
    """Return the customer's wallet, made if there is none yet."""
    with transaction.atomic():
        return Wallet.objects.get_or_create(customer_id=customer_id)[0]
