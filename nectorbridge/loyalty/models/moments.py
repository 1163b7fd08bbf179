"""Orders, reviews, referrals and tiers: what customers do besides collecting coins."""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.states import Portal
from nectorbridge.loyalty.models.customers import Customer

LONGEST_ID = 128


def _portal() -> models.CharField:
    """Return the column of the place where something happened; empty: unknown."""
    return models.CharField(_("where it happened"), max_length=20, choices=Portal, blank=True)


def _money(label: Any, **more: Any) -> models.DecimalField:
    """Return a column for an amount in the merchant's currency."""
    return models.DecimalField(label, max_digits=14, decimal_places=2, validators=[MinValueValidator(0)], **more)


class Announced(models.Model):
    """A row that is announced when it is made: by a `post_save` handler, in one database transaction with the row."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save and announce together."""
        with transaction.atomic():
            super().save(*args, **kwargs)


class OrderStatus(models.TextChoices):
    """How far an order is."""

    PLACED = "placed", _("Placed")
    COMPLETED = "completed", _("Completed")
    CANCELLED = "cancelled", _("Cancelled")
    REFUNDED = "refunded", _("Refunded")


class Order(Announced):
    """What a customer bought."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders", verbose_name=_("customer"))
    order_id = models.CharField(_("order ID"), max_length=LONGEST_ID, help_text=_("The store's own ID of this order."))
    number = models.CharField(_("number"), max_length=60, blank=True, help_text=_("As the customer knows it, for example #1042."))
    status = models.CharField(_("state"), max_length=10, choices=OrderStatus, default=OrderStatus.PLACED)
    total = _money(_("total"))
    discount_total = _money(_("discount"), default=0)
    refunded_total = _money(_("refunded"), default=0)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    coupon_code = models.CharField(_("coupon"), max_length=64, blank=True)
    source = models.CharField(_("source"), max_length=60, blank=True)  # as the store calls it
    portal = _portal()
    placed_at = models.DateTimeField(_("placed at"), default=timezone.now)
    refunded_at = models.DateTimeField(_("refunded at"), null=True, blank=True, editable=False)
    # The time of the newest news of it: older ones, which come late, change nothing.
    as_of = models.DateTimeField(null=True, editable=False)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["customer", "order_id"], name="order_once"),
            models.CheckConstraint(condition=Q(total__gte=0), name="order_total_not_negative"),
        ]
        indexes = [
            models.Index(fields=["order_id"], name="order_by_own_id"),
            models.Index(fields=["customer", "placed_at"], name="order_by_customer"),
        ]

    def __str__(self) -> str:
        """Return the number, or the ID."""
        return self.number or self.order_id


class ReviewStatus(models.TextChoices):
    """How far a review is."""

    REQUESTED = "requested", _("Asked for")
    SUBMITTED = "submitted", _("Submitted")
    APPROVED = "approved", _("Approved")
    REJECTED = "rejected", _("Rejected")


class Review(Announced):
    """What a customer says about a product, from the moment at which they are asked."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="reviews", verbose_name=_("customer"))
    order = models.ForeignKey(Order, models.SET_NULL, null=True, blank=True, related_name="reviews", verbose_name=_("order"))
    product_id = models.CharField(_("product ID"), max_length=LONGEST_ID, blank=True)
    product_name = models.CharField(_("product"), max_length=200, blank=True)
    status = models.CharField(_("state"), max_length=10, choices=ReviewStatus, default=ReviewStatus.REQUESTED)
    rating = models.PositiveSmallIntegerField(
        _("rating"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(5)]
    )
    text = models.TextField(_("text"), blank=True)
    is_verified = models.BooleanField(_("bought it"), default=False)
    nector_id = models.CharField(max_length=LONGEST_ID, blank=True, editable=False)
    portal = _portal()
    requested_at = models.DateTimeField(_("asked at"), default=timezone.now, editable=False)
    submitted_at = models.DateTimeField(_("submitted at"), null=True, editable=False)
    approved_at = models.DateTimeField(_("approved at"), null=True, editable=False)
    as_of = models.DateTimeField(null=True, editable=False)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["customer", "nector_id"], condition=~Q(nector_id=""), name="review_once"),
            models.CheckConstraint(condition=Q(rating__isnull=True) | Q(rating__range=(1, 5)), name="rating_of_1_to_5"),
        ]
        indexes = [models.Index(fields=["requested_at"], condition=Q(status="requested"), name="review_open")]

    def __str__(self) -> str:
        """Return the product and the state."""
        return f"{self.product_name or self.product_id or _('Review')} · {self.get_status_display()}"


class ReferralStatus(models.TextChoices):
    """How far a referral is."""

    STARTED = "started", _("Started")
    COMPLETED = "completed", _("Completed")
    CANCELLED = "cancelled", _("Cancelled")


class Referral(Announced):
    """A customer referred a friend, who may not be a customer yet."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="referrals", verbose_name=_("customer"))
    friend = models.ForeignKey(
        Customer, models.SET_NULL, null=True, blank=True, related_name="referred_by", verbose_name=_("friend, once a customer")
    )
    friend_name = models.CharField(_("friend's name"), max_length=200, blank=True)
    friend_email = models.EmailField(_("friend's email"), blank=True)
    friend_phone = models.CharField(_("friend's mobile"), max_length=20, blank=True)
    coupon_code = models.CharField(_("friend's coupon"), max_length=64, blank=True)
    status = models.CharField(_("state"), max_length=10, choices=ReferralStatus, default=ReferralStatus.STARTED)
    reward_coins = models.PositiveBigIntegerField(_("reward"), default=0)
    portal = _portal()
    started_at = models.DateTimeField(_("started at"), default=timezone.now, editable=False)
    completed_at = models.DateTimeField(_("completed at"), null=True, editable=False)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        verbose_name = _("referral")
        verbose_name_plural = _("referrals")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["customer", "friend_email"], name="referral_by_friend"),
            models.Index(fields=["started_at"], condition=Q(status="started"), name="referral_open"),
        ]

    def __str__(self) -> str:
        """Return whom."""
        return self.friend_name or self.friend_email or self.friend_phone or str(_("Referral"))


class TierChange(Announced):
    """A customer's tier changed."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="tier_changes", verbose_name=_("customer"))
    tier = models.CharField(_("tier"), max_length=60, blank=True)
    former_tier = models.CharField(_("former tier"), max_length=60, blank=True)
    portal = _portal()
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("change of tier")
        verbose_name_plural = _("changes of tier")
        ordering = ["-id"]
        indexes = [models.Index(fields=["customer", "changed_at"], name="tier_by_customer")]

    def __str__(self) -> str:
        """Return both tiers."""
        return f"{self.former_tier or '-'} → {self.tier or '-'}"
