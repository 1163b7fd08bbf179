"""Customers who may be one person: the same email or the same mobile number."""

from __future__ import annotations

from django.db.models.functions import Lower

from nectorbridge.loyalty.models import Customer

MOST = 20


def customers_at(merchant_id: int, email: str, phone: str) -> list[Customer]:
    """Return the merchant's customers with that email, in any case, or that mobile number, with or without its plus.

    Two statements, each with an index of its own.
    """
    mine = Customer.objects.filter(merchant=merchant_id).select_related("merchant", "wallet").order_by("pk")
    digits = "".join(character for character in phone if character.isascii() and character.isdigit())
    found: dict[int, Customer] = {}
    if email.strip():
        at_email = mine.alias(address=Lower("email")).filter(address=email.strip().lower())
        found |= {customer.pk: customer for customer in at_email[: MOST + 1]}
    if digits:
        at_phone = mine.filter(phone__in={phone.strip(), digits, f"+{digits}"})
        found |= {customer.pk: customer for customer in at_phone[: MOST + 1]}
    return sorted(found.values(), key=lambda customer: customer.pk)


def lookalikes(customer: Customer) -> list[Customer]:
    """Return who looks like the same person as this customer, at most twenty."""
    found = customers_at(customer.merchant_id, customer.email, customer.phone)
    return [other for other in found if other.pk != customer.pk][:MOST]
