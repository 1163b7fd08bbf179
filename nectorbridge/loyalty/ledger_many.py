"""Many movements of many wallets at once: each as `ledger.post` makes it, written with a few statements.

Balances are reckoned here while the wallets are locked, in the order of their keys, and written with the transactions, the lots
and the uses of lots in the caller's transaction. No signal is sent: whoever posts announces what `write` returns.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.utils import timezone

from events.sql import insert, made, write_columns
from nectorbridge.loyalty.ledger import InsufficientBalance
from nectorbridge.loyalty.models import Customer, LotUse, Operation, Wallet, WalletTransaction
from nectorbridge.loyalty.models.wallets import Kind, LedgerError

LARGEST_BALANCE = 9 * 10**18  # what the column holds
LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Lot:
    """Coins of one credit that are left. `entry` is there where the credit is of this posting."""

    left: int
    expires_at: datetime | None
    title: str
    portal: str
    pk: int | None = None
    entry: WalletTransaction | None = None

    @property
    def key(self) -> int:
        """Return the credit's key, once it is saved."""
        return int(self.entry.pk if self.entry is not None else self.pk or 0)


@dataclass(slots=True)
class _Account:
    """One wallet while it moves. `lots` is a heap of (expiry, order, lot), filled once somebody spends."""

    wallet: Wallet
    is_new: bool
    before: int
    knows_lots: bool
    lots: list[tuple[datetime, int, _Lot]] = field(default_factory=list)


class Posting:
    """Movements of the wallets of these customers, who may be unsaved until `write`."""

    def __init__(self, customers: Iterable[Customer], spenders: Iterable[Customer], now: datetime) -> None:
        """Lock the wallets that are there, and load the open lots of those who will spend. `now` is when all of it happens."""
        self._now = now
        self._order = itertools.count()
        self._accounts: dict[int, _Account] = {}  # by id() of the customer, who has no key yet
        self._kept: list[Customer] = []  # so that no id() is given out twice
        self._entries: list[WalletTransaction] = []
        self._uses: list[tuple[_Lot, WalletTransaction, int]] = []
        self._lowered: dict[int, int] = {}
        saved = {customer.pk: customer for customer in customers if customer.pk is not None}
        if saved:
            for wallet in Wallet.objects.select_for_update().filter(customer__in=saved).order_by("pk"):
                self._open(saved[wallet.customer_id], wallet)
        accounts = [self._accounts[id(one)] for one in spenders if id(one) in self._accounts]
        self._load_lots({account.wallet.pk: account for account in accounts})

    def credit(self, customer: Customer, amount: int, title: str, expires_at: datetime | None) -> None:
        """Give coins. Raises ValueError where the balance would be more than a column holds."""
        account = self._account(customer)
        if account.wallet.balance + amount > LARGEST_BALANCE:
            raise ValueError(f"a balance is at most {LARGEST_BALANCE}")
        entry = self._post(account, Operation.CREDIT, Kind.REWARD, amount, title, expires_at, "")
        self._add(account, _Lot(amount, expires_at, title, "", entry=entry))

    def debit(self, customer: Customer, amount: int, title: str) -> None:
        """Take coins, those that expire first before others; what is over is taken back first.

        Raises InsufficientBalance, and LedgerError for a wallet whose lots are not its balance; then nothing moved.
        """
        account = self._account(customer)
        if not account.knows_lots:
            self._load_lots({account.wallet.pk: account})
        over = sum(lot.left for end, _order, lot in account.lots if end <= self._now)
        balance = account.wallet.balance - over
        if balance < amount:
            raise InsufficientBalance(max(0, balance), amount)
        if sum(lot.left for _end, _order, lot in account.lots) < over + amount:
            raise LedgerError(
                f"Wallet {account.wallet.pk} has fewer coins in its lots than in its balance. Run: manage.py doctor"
            )
        while account.lots and account.lots[0][0] <= self._now:
            _end, _number, lot = heapq.heappop(account.lots)
            taken = self._post(account, Operation.DEBIT, Kind.EXPIRY, lot.left, lot.title, lot.expires_at, lot.portal)
            self._use(lot, taken, lot.left)
        entry = self._post(account, Operation.DEBIT, Kind.REDEEM, amount, title, None, "")
        while amount:
            lot = account.lots[0][2]
            part = min(lot.left, amount)
            self._use(lot, entry, part)
            amount -= part
            if not lot.left:
                heapq.heappop(account.lots)

    def write(self) -> list[WalletTransaction]:
        """Write all of it; the customers are saved by now. Returns the transactions in order, each with wallet and customer."""
        accounts = list(self._accounts.values())
        fresh = [account.wallet for account in accounts if account.is_new]
        now = timezone.now()
        for wallet in fresh:
            wallet.customer_id = wallet.customer.pk
            wallet.changed_at = now
        insert(fresh)
        moved = [account.wallet for account in accounts if not account.is_new and account.wallet.balance != account.before]
        write_columns(Wallet, ("balance", "changed_at"), [(wallet.pk, wallet.balance, now) for wallet in moved])
        for entry in self._entries:
            entry.wallet_id = entry.wallet.pk
        insert(self._entries)
        write_columns(WalletTransaction, ("remaining",), list(self._lowered.items()))
        insert([made(LotUse, lot_id=lot.key, debit_id=debit.pk, amount=amount) for lot, debit, amount in self._uses])
        return self._entries

    # --- Inside -------------------------------------------------------------------------------------------------------
    def _open(self, customer: Customer, wallet: Wallet | None) -> _Account:
        """Begin to move a wallet; None: one that is made in the end."""
        is_new = wallet is None
        wallet = wallet or made(Wallet, customer_id=None, changed_at=None)
        wallet._state.fields_cache["customer"] = customer
        account = _Account(wallet, is_new, wallet.balance, knows_lots=is_new)
        self._accounts[id(customer)] = account
        self._kept.append(customer)
        return account

    def _account(self, customer: Customer) -> _Account:
        return self._accounts.get(id(customer)) or self._open(customer, None)

    def _load_lots(self, accounts: Mapping[int, _Account]) -> None:
        """Load the open lots of these wallets, by their keys."""
        if not accounts:
            return
        rows = WalletTransaction.objects.filter(wallet__in=accounts, remaining__gt=0).order_by("id")
        found = rows.values_list("wallet", "id", "remaining", "expires_at", "title", "portal")
        for account in accounts.values():
            account.knows_lots = True
        earlier = {key: [lot for _end, _order, lot in account.lots] for key, account in accounts.items()}
        for key in accounts:
            accounts[key].lots.clear()
        for key, pk, left, expires_at, title, portal in found:
            self._add(accounts[key], _Lot(left, expires_at, title, portal, pk=pk))
        for key, lots in earlier.items():  # of this posting: younger than those that are stored
            for lot in lots:
                self._add(accounts[key], lot)

    def _add(self, account: _Account, lot: _Lot) -> None:
        heapq.heappush(account.lots, (lot.expires_at or LAST, next(self._order), lot))

    def _use(self, lot: _Lot, debit: WalletTransaction, amount: int) -> None:
        """Take coins out of a lot, and write down which debit did."""
        lot.left -= amount
        self._uses.append((lot, debit, amount))
        if lot.entry is not None:
            lot.entry.remaining = lot.left
        elif lot.pk is not None:
            self._lowered[lot.pk] = lot.left

    def _post(
        self, account: _Account, operation: str, kind: str, amount: int, title: str, expires_at: datetime | None, portal: str
    ) -> WalletTransaction:
        """Move the balance and make the transaction."""
        wallet, is_credit = account.wallet, operation == Operation.CREDIT
        wallet.balance += amount if is_credit else -amount
        entry = made(
            WalletTransaction,
            wallet_id=wallet.pk,
            operation=str(operation),
            kind=str(kind),
            amount=amount,
            title=title,
            expires_at=expires_at,
            portal=portal,
            remaining=amount if is_credit else 0,
            balance_after=wallet.balance,
            created_at=self._now,
        )
        entry._state.fields_cache["wallet"] = wallet
        self._entries.append(entry)
        return entry
