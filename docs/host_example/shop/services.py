"""What the shop does with points, each in one transaction with what it records."""

from __future__ import annotations

from django.db import transaction

import events
from shop.models import Customer, PointsEntry


@transaction.atomic
def give_points(customer: Customer, points: int, reason: str) -> PointsEntry:
    """Add points and record it. Rolled back together, or kept together."""
    customer = Customer.objects.select_for_update().get(pk=customer.pk)
    customer.points += points
    customer.save(update_fields=["points", "changed_at"])
    entry = PointsEntry.objects.create(customer=customer, points=points, reason=reason)
    events.record(
        events.Activity(
            merchant_id=customer.merchant_id,
            trigger="walletreward_create",
            customer_ref=str(customer.pk),
            recipient=recipient_of(customer),
            properties={"coins": points, "balance": customer.points, "operation": "cr", "title": reason},
            occurred_at=entry.created_at,
            key=f"points:{entry.pk}",  # recorded again under the same key it adds nothing
            portal="online_store",
        )
    )
    return entry


def recipient_of(customer: Customer) -> dict[str, str]:
    """Return how providers may recognise a customer."""
    return {"customer_id": str(customer.pk), "email": customer.email, "name": customer.name}
