"""Whom rows are about: looked up together in a few statements, by the rules by which webhooks find one (`nector.people.find`)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from django.db import connection
from django.utils import timezone

from events.sql import insert, made, write_columns
from integrations.models import Merchant
from nectorbridge.loyalty.imports.rows import Row
from nectorbridge.loyalty.models import Customer
from nectorbridge.loyalty.nector.record import own_id, ways_to_write

DETAILS = ("customer_id", "nector_id", "email", "phone", "name")
BY_VALUE_POSTGRESQL = """
    SELECT found.id FROM unnest(%s::text[]) AS k(value) CROSS JOIN LATERAL (
        SELECT c.id FROM loyalty_customer AS c WHERE c.merchant_id = %s AND {condition} OFFSET 0
    ) AS found
"""
BY_VALUE_SQLITE = """
    SELECT c.id FROM json_each(%s) AS k CROSS JOIN loyalty_customer AS c WHERE c.merchant_id = %s AND {condition}
"""


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
        now = timezone.now()
        for customer in self.changed.values():
            customer.changed_at = now
        columns = (*DETAILS, "changed_at")
        values = [(one.pk, *(getattr(one, name) for name in columns)) for one in self.changed.values()]
        write_columns(Customer, columns, values)

    def _index(self, customer: Customer) -> None:
        """Have somebody found by all that leads to them."""
        if customer.customer_id:
            self._by_id.setdefault(own_id(customer.customer_id), customer)
        for place, key in ((self._by_email, customer.email.lower()), (self._by_phone, customer.phone)):
            if key and customer not in place[key]:
                place[key].append(customer)


def _load(merchant: Merchant, rows: Sequence[Row]) -> dict[int, Customer]:
    """Return the stored customers whom rows may be about, by key; each lead is a statement with an index of its own."""
    ids = {row.customer_id for row in rows if row.customer_id}
    leads: dict[str, set[str]] = {
        "lower(c.email) = k.value": {key for row in rows if row.email for key in (row.email.lower(), _ascii_lower(row.email))},
        "c.phone = k.value AND NOT (c.phone = '')": {row.phone for row in rows if row.phone},  # as the index says it
        "c.customer_id = k.value": {way for own in ids for way in ways_to_write(own)}
        | {row.nector_id for row in rows if row.nector_id},
    }
    found = {pk for condition, keys in leads.items() if keys for pk in _keys_of(merchant.pk, condition, sorted(keys))}
    customers = {customer.pk: customer for customer in Customer.objects.filter(pk__in=found).order_by()} if found else {}
    for customer in customers.values():
        customer._state.fields_cache["merchant"] = merchant
    return customers


def _keys_of(merchant_id: int, condition: str, values: list[str]) -> list[int]:
    """Return the keys of customers whom any of these values leads to.

    Value by value, in this order and no other: a database without statistics would begin with all of the merchant's customers.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(BY_VALUE_POSTGRESQL.format(condition=condition), [values, merchant_id])
        else:
            cursor.execute(BY_VALUE_SQLITE.format(condition=condition), [json.dumps(values), merchant_id])
        return [pk for (pk,) in cursor.fetchall()]


def _ascii_lower(text: str) -> str:
    """Return a text as SQLite lowers it: letters beyond ASCII stay."""
    return text.lower() if text.isascii() else "".join(letter.lower() if letter.isascii() else letter for letter in text)
