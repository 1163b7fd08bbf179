"""Who changed since when: wallets and people by the time that is stored with them, lots by the time at which they expire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, QuerySet, Subquery

from integrations.models import Merchant
from nectorbridge.loyalty.models import Customer, Wallet, WalletTransaction

Change = tuple[datetime, int]  # when, and the customer's key
Source = tuple[QuerySet[Any], str, str]  # rows of the merchant's customers, the column of the time, that of the customer
A_MOMENT = timedelta(microseconds=1)  # the smallest step that both databases keep


def since(merchant_id: int, moment: datetime, now: datetime, limit: int) -> tuple[list[int], datetime | None]:
    """Return the keys of customers who changed at or after `moment`, oldest change first, and until when (None: until now).

    About `limit` changes; where there are more, the answer ends behind an instant of which it has every change, so that asking
    again from there always goes on, however many share one instant.
    """
    sources = _sources(merchant_id, now)
    found = sorted(change for source in sources for change in _changes(source, "gte", moment, limit + 1))
    if len(found) <= limit:
        return _keys(found), None
    last = found[limit - 1][0]
    found = [change for change in found if change[0] < last]
    found += sorted(change for source in sources for change in _changes(source, "exact", last, None))
    return _keys(found), last + A_MOMENT


def merchants_since(moment: datetime, now: datetime) -> set[int]:
    """Return the merchants of whom anybody changed at or after `moment`, in one statement each for wallets, people and lots."""
    people = Customer.objects.filter(merchant=OuterRef("pk"), changed_at__gte=moment)
    return {
        *changed_wallets(moment),
        *Merchant.objects.filter(Exists(people)).order_by().values_list("pk", flat=True),
        *_owners(
            WalletTransaction.objects.filter(remaining__gt=0, expires_at__gte=moment, expires_at__lt=now), "wallet__customer"
        ),
    }


def changed_wallets(moment: datetime) -> QuerySet[Any, int]:
    """Return the merchants of wallets that changed at or after `moment`."""
    return _owners(Wallet.objects.filter(changed_at__gte=moment), "customer")


def _owners(rows: QuerySet[Any], customer: str) -> QuerySet[Any, int]:
    """Return the merchants of these rows, once each. Asked row by row, so that no database begins with the customers."""
    owner = Customer.objects.filter(pk=OuterRef(customer)).values("merchant")[:1]
    return rows.order_by().annotate(owner=Subquery(owner)).values_list("owner", flat=True).distinct()


def _sources(merchant_id: int, now: datetime) -> list[Source]:
    """Return where changes are found. A lot that expires changes what its customer loses next, though nobody writes anything.

    Whose a row is, is asked row by row: a database without statistics would begin with all of the merchant's customers.
    """
    mine = Customer.objects.filter(merchant=merchant_id)
    my_wallet = Wallet.objects.filter(pk=OuterRef("wallet"), customer__merchant=merchant_id)
    lots = WalletTransaction.objects.filter(remaining__gt=0, expires_at__lt=now)
    return [
        (Wallet.objects.filter(Exists(mine.filter(pk=OuterRef("customer")))), "changed_at", "customer"),
        (mine, "changed_at", "pk"),
        (lots.filter(Exists(my_wallet)), "expires_at", "wallet__customer"),
    ]


def _changes(source: Source, lookup: str, moment: datetime, limit: int | None) -> Iterator[Change]:
    """Yield changes of one source, oldest first."""
    rows, time, customer = source
    rows = rows.filter(**{f"{time}__{lookup}": moment}).order_by(F(time), "pk")
    yield from rows.values_list(time, customer)[:limit]


def _keys(found: list[Change]) -> list[int]:
    """Return each customer once, where they changed first."""
    return list(dict.fromkeys(key for _moment, key in found))
