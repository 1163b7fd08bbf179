"""Coupons: what customers get for coins, or as a present."""

from __future__ import annotations

from typing import Any

from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.states import Portal
from nectorbridge.loyalty.models.customers import Customer


class ValueClass(models.TextChoices):
    """What a coupon's value means."""

    PERCENT = "percent", _("Per cent off")
    AMOUNT = "amount", _("Amount off")


class CouponStatus(models.TextChoices):
    """Where a coupon stands."""

    ISSUED = "issued", _("Issued")
    REDEEMED = "redeemed", _("Redeemed")
    EXPIRED = "expired", _("Expired")
    CANCELLED = "cancelled", _("Cancelled")


class Coupon(models.Model):
    """A discount for one customer. `value` is the discount (on Nector's wire `value` is the code)."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="coupons", verbose_name=_("customer"))
    code = models.CharField(_("code"), max_length=64)
    value_class = models.CharField(_("kind"), max_length=10, choices=ValueClass, default=ValueClass.PERCENT)
    value = models.DecimalField(_("value"), max_digits=12, decimal_places=2, validators=[MinValueValidator(0)])
    minimum_cart_amount = models.DecimalField(
        _("minimum cart amount"),
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
    )
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    status = models.CharField(_("state"), max_length=10, choices=CouponStatus, default=CouponStatus.ISSUED)
    portal = models.CharField(_("where it happened"), max_length=20, choices=Portal, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    as_of = models.DateTimeField(null=True, editable=False)  # of the newest news from Nector: older ones change nothing
    redeemed_at = models.DateTimeField(_("used at"), null=True, editable=False)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        verbose_name = _("coupon")
        verbose_name_plural = _("coupons")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["customer", "code"], name="coupon_once"),
            models.CheckConstraint(condition=Q(value__gte=0), name="coupon_value_not_negative"),
        ]
        indexes = [  # of those that somebody may be reminded of
            models.Index(fields=["expires_at"], condition=Q(status="issued", expires_at__isnull=False), name="coupon_expiring"),
            models.Index(fields=["created_at"], condition=Q(status="issued"), name="coupon_unused"),
        ]

    def __str__(self) -> str:
        """Return the code."""
        return self.code

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save and announce in one database transaction: the announcement is a `post_save` handler.

        One that is marked as used was used now, unless somebody said when.
        """
        if (self.status == CouponStatus.REDEEMED) != (self.redeemed_at is not None):
            self.redeemed_at = timezone.now() if self.status == CouponStatus.REDEEMED else None
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "redeemed_at"}
        with transaction.atomic():
            super().save(*args, **kwargs)
