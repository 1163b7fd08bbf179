"""Whom rows are about: looked up together in a few statements, by the rules by which webhooks find one (`nector.people.find`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.utils import timezone

from events.sql import insert, made
from integrations.models import Merchant
from nectorbridge.loyalty.imports.rows import Row
from nectorbridge.loyalty.models import Customer
from nectorbridge.loyalty.nector.record import own_id, ways_to_write

DETAILS = ("customer_id", "nector_id", "email", "phone", "name")
KEYS_PER_STATEMENT = 10_000  # SQLite takes 32,766 parameters


class People:
    """The customers of one merchant whom some rows name. `made` are new and unsaved, `changed` got something they had not."""

    def __init__(self, merchant: Merchant, rows: Sequence[Row]) -> None:
        """Look them up."""
        self.merchant = merchant
        self.made: list[Customer] = []
        self.changed: dict[int, Customer] = {}
        self._by_id: dict[str, Customer] = {}
        self._by_email: dict[str, list[Customer]] = defaultdict(list)
        self._by_phone: dict[str, list[Customer]] = defaultdict(list)
        self.known: list[Customer] = sorted(_load(merchant, rows).values(), key=lambda customer: customer.pk)
        for customer in self.known:
            self._index(customer)

    def find(self, row: Row) -> Customer | None:
        """Return whom a row is about: by ID, then by email and mobile. Somebody who has another ID is somebody else."""
        if row.customer_id and (found := self._by_id.get(row.customer_id)) is not None:
            return found
        for customer in self.leads(row):
            if not (row.customer_id and customer.customer_id):
                return customer
        return None

    def leads(self, row: Row) -> Iterator[Customer]:
        """Yield all to whom any of a row's addresses leads, the first in the order in which they are believed."""
        if row.email:
            yield from self._by_email.get(row.email.lower(), ())
        if row.phone:
            yield from self._by_phone.get(row.phone, ())

    def new(self, row: Row) -> Customer:
        """Return a customer of whom nobody knows until `take`."""
        now = timezone.now()
        customer = made(Customer, merchant_id=self.merchant.pk, created_at=now, changed_at=now)
        customer._state.fields_cache["merchant"] = self.merchant
        return customer

    def take(self, row: Row, customer: Customer) -> None:
        """Give a customer what a row says of them and they have not; what they have stays."""
        is_known = bool(customer.pk)
        is_unheard = not is_known and not (customer.email or customer.phone or customer.customer_id)
        filled = False
        wanted = (row.customer_id, row.nector_id, row.email, row.phone, row.name)
        for name, value in zip(DETAILS, wanted, strict=True):
            if value and not getattr(customer, name):
                setattr(customer, name, value)
                filled = True
        if is_unheard:
            self.made.append(customer)
        if filled:
            self._index(customer)
            if is_known:
                self.changed[customer.pk] = customer

    def write(self) -> None:
        """Save those who are new or changed."""
        insert(self.made)
        if self.changed:
            now = timezone.now()
            for customer in self.changed.values():
                customer.changed_at = now
            Customer.objects.bulk_update(self.changed.values(), [*DETAILS, "changed_at"], batch_size=100)

    def _index(self, customer: Customer) -> None:
        """Have somebody found by all that leads to them."""
        if customer.customer_id:
            self._by_id.setdefault(own_id(customer.customer_id), customer)
        for place, key in ((self._by_email, customer.email.lower()), (self._by_phone, customer.phone)):
            if key and customer not in place[key]:
                place[key].append(customer)


def _load(merchant: Merchant, rows: Sequence[Row]) -> dict[int, Customer]:
    """Return the stored customers whom rows may be about, by key; each lead is a statement with an index of its own."""
    mine = Customer.objects.filter(merchant=merchant.pk).order_by()
    emails = {email for row in rows if row.email for email in (row.email.lower(), _ascii_lower(row.email))}
    phones = {row.phone for row in rows if row.phone}
    ids = {row.customer_id for row in rows if row.customer_id}
    written = {way for own in ids for way in ways_to_write(own)} | {row.nector_id for row in rows if row.nector_id}
    found: dict[int, Customer] = {}
    leads: list[tuple[QuerySet[Customer], str, set[str]]] = [
        (mine.alias(address=Lower("email")), "address", emails),
        (mine.exclude(phone=""), "phone", phones),  # said as the index says it, so that it is used
        (mine, "customer_id", written),
    ]
    for customers, name, keys in leads:
        for some in _slices(sorted(keys)):
            for customer in customers.filter(**{f"{name}__in": some}):
                customer._state.fields_cache["merchant"] = merchant
                found.setdefault(customer.pk, customer)
    return found


def _slices(keys: list[Any]) -> Iterable[list[Any]]:
    """Yield lists that fit a statement."""
    return (keys[start : start + KEYS_PER_STATEMENT] for start in range(0, len(keys), KEYS_PER_STATEMENT))


def _ascii_lower(text: str) -> str:
    """Return a text as SQLite lowers it: letters beyond ASCII stay."""
    return text.lower() if text.isascii() else "".join(letter.lower() if letter.isascii() else letter for letter in text)
