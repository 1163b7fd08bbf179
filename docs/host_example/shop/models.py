"""The shop's own tables. The reusable apps know neither: they see references and snapshots."""

from __future__ import annotations

from django.db import models

from integrations.models import Merchant


class Customer(models.Model):
    """Somebody who buys here."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="shop_customers")
    email = models.EmailField()
    name = models.CharField(max_length=100)
    points = models.PositiveIntegerField(default=0)
    reads_mail = models.BooleanField(null=True)  # None: was never asked
    changed_at = models.DateTimeField(auto_now=True, db_index=True)

    def __str__(self) -> str:
        """Return a name that tells nothing to others."""
        return f"Customer {self.pk}"


class PointsEntry(models.Model):
    """Points that somebody was given. Never changed."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="entries")
    points = models.PositiveIntegerField()
    reason = models.CharField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        """Return what it is about."""
        return f"{self.points} points"
