"""Customers by what a webhook says of them: found by ID, email or mobile, made where there are none, brought up to date."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from django.db.models.functions import Lower

from integrations.models import Merchant
from nectorbridge.loyalty.models import Customer
from nectorbridge.loyalty.nector.record import Person, ways_to_write

DETAILS = ("nector_id", "customer_id", "email", "phone", "name", "referral_code")


def find(merchant: Merchant, person: Person) -> Customer | None:
    """Return the customer whom this names: by the store's ID, then by referral code, email and mobile.

    Somebody found by an address who has another ID is somebody else: one person may be two leads at Nector, until a person in
    the admin says that they are one.
    """
    mine = Customer.objects.filter(merchant=merchant).select_related("merchant").order_by("pk")
    if person.customer_id:
        found = mine.filter(customer_id__in={person.nector_id, *ways_to_write(person.customer_id)}).first()
        if found is not None:
            return found
    return next((found for rows in _by_address(mine, person) if (found := rows.first()) is not None), None)


def _by_address(mine: QuerySet[Customer], person: Person) -> list[QuerySet[Customer]]:
    """Return where to look for somebody by what leads to them."""
    if person.customer_id:
        mine = mine.filter(customer_id="")
    mine = mine.alias(address=Lower("email"))
    leads = {"referral_code": person.referral_code, "address": person.email.lower(), "phone": person.phone}
    return [mine.filter(**{name: value}) for name, value in leads.items() if value]


def upsert(merchant: Merchant, person: Person, as_of: datetime | None) -> Customer:
    """Return the customer, made or brought up to date. Old news of somebody changes nothing that newer news said.

    Raises ValueError where it names nobody.
    """
    if not person:
        raise ValueError("names nobody")
    customer = find(merchant, person)
    if customer is None:
        customer = Customer(merchant=merchant, as_of=as_of, tier=person.tier)
        _take(customer, person, DETAILS)
        customer.save()
        return customer
    is_old = as_of is not None and customer.as_of is not None and as_of < customer.as_of
    known = [name for name in DETAILS if getattr(customer, name)] if is_old else ["customer_id"] * bool(customer.customer_id)
    changed = _take(customer, person, [name for name in DETAILS if name not in known])
    if not is_old and as_of is not None and customer.as_of != as_of:
        customer.as_of, changed = as_of, [*changed, "as_of"]
    if changed:
        customer.save(update_fields=changed)
    return customer


def _take(customer: Customer, person: Person, names: tuple[str, ...] | list[str]) -> list[str]:
    """Give the customer what is said of them. Returns what that changed; what is not said is left alone."""
    changed = []
    for name in names:
        value = getattr(person, name)
        if value and getattr(customer, name) != value:
            setattr(customer, name, value)
            changed.append(name)
    return changed
