"""What an import of a file costs, next to a bare `bulk_create` of the same customers, wallets and transactions, made beforehand.

Both sides commit. Ours reads the file, checks every row, stores it in parts, looks every customer up, reckons every balance and
commits part by part, each with its progress. All that is in its time, from the file's first byte to the last commit.
"""

from __future__ import annotations

import io
import itertools
import time
from typing import Any

from django.contrib.auth import get_user_model
from django.db import models, transaction

from integrations.models import Merchant
from nectorbridge.bench import world
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.measure import Bar, Comparison, compare
from nectorbridge.loyalty.imports import storing, work
from nectorbridge.loyalty.models import Customer, ImportRun, ImportState, Operation, Wallet, WalletTransaction

NAME = "import"
BAR = Bar(0.5, at_most=False)
ROWS, QUICK_ROWS = 20_000, 20
HEADER = "email,mobile,points_balance,points_operation"
COINS = 250


class Files:
    """Imports customers whom nobody knows, each with coins, and writes the same rows bare."""

    def __init__(self, merchant: Merchant, count: int) -> None:
        """Write `count` rows per figure."""
        self.merchant = merchant
        self.count = count
        self._numbers = itertools.count()
        self._user = get_user_model().objects.create_superuser("bench")

    def imported(self) -> float:
        """Return the rows per second of an import, from the file to its last commit."""
        lines = [f"{email},{phone},{COINS},cr" for email, phone in self._people()]
        content = "\n".join([HEADER, *lines]).encode()
        began = time.perf_counter()
        run = storing.take(self.merchant, self._user, io.BytesIO(content), "bench.csv", len(content))
        ImportRun.objects.filter(pk=run.pk).update(state=ImportState.RUNNING)  # no bell: nobody else is to work at it
        while work.work(run.pk):
            pass
        took = time.perf_counter() - began
        run.refresh_from_db()
        if (run.state, run.created, run.credited) != (ImportState.DONE, self.count, self.count):
            raise AssertionError(f"{run.credited} of {self.count} rows were imported: {run.state}")
        return self.count / took

    def created(self) -> float:
        """Return the rows per second that `bulk_create` writes: a customer, a wallet and a transaction each."""
        customers = [Customer(merchant=self.merchant, email=email, phone=phone) for email, phone in self._people()]
        wallets = [Wallet(customer=customer, balance=COINS) for customer in customers]
        entries = [
            WalletTransaction(wallet=wallet, operation=Operation.CREDIT, amount=COINS, remaining=COINS, balance_after=COINS)
            for wallet in wallets
        ]
        began = time.perf_counter()
        with transaction.atomic():
            Customer.objects.bulk_create(customers)
            Wallet.objects.bulk_create(wallets)
            rows: models.QuerySet[WalletTransaction] = models.QuerySet(WalletTransaction)  # past the ledger, on purpose
            rows.bulk_create(entries)
        return self.count / (time.perf_counter() - began)

    def _people(self) -> list[tuple[str, str]]:
        """Return emails and mobiles that nobody has yet."""
        numbers = itertools.islice(self._numbers, self.count)
        return [(f"person{number}@bench.example", f"+91{6_000_000_000 + number}") for number in numbers]


def run(options: Options) -> dict[str, Any]:
    """Measure; rows of the file per second."""
    place = world.build(0)
    place.definition.delete()  # what is announced is measured by `record-many`
    files = Files(place.merchant, options.size(ROWS, QUICK_ROWS))
    files.created()
    files.imported()
    what = f"an import of {files.count:,} rows from a file / a bare bulk_create of the same customers, wallets, transactions"
    comparison = Comparison(NAME, what, "rows/s", BAR)
    return compare(comparison, files.created, files.imported, options.pairs, options.note).as_dict()
