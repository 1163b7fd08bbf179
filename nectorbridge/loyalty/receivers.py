"""Signal handlers: saving a row of the ledger announces it, in the same database transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from nectorbridge.loyalty import announcements
from nectorbridge.loyalty.models import Coupon, Customer, Order, Referral, Review, TierChange, WalletTransaction
from nectorbridge.loyalty.models.customers import DETAILS
from nectorbridge.loyalty.services.consent import note_edited

CREATED, EDITED = "joined", "edited"  # sources of consent: it came with the customer, or somebody typed it
# Of these only what is new is announced by being saved: what changes, the service that changes it announces.
NEW: dict[type, Callable[[Any], None]] = {
    Order: announcements.order_created,
    Review: announcements.review_created,
    Referral: announcements.referral_started,
    TierChange: announcements.tier_changed,
}


@receiver(post_save, sender=WalletTransaction, dispatch_uid="announce_wallet_transaction")
def announce_transaction(instance: WalletTransaction, created: bool, raw: bool, **_kwargs: Any) -> None:
    """Announce a wallet transaction. Fixtures (`raw`) are restored, not experienced."""
    if not raw:
        (announcements.transaction_created if created else announcements.transaction_updated)(instance)


@receiver(post_save, sender=Coupon, dispatch_uid="announce_coupon")
def announce_coupon(instance: Coupon, created: bool, raw: bool, **_kwargs: Any) -> None:
    """Announce a coupon."""
    if not raw:
        (announcements.coupon_created if created else announcements.coupon_updated)(instance)


@receiver(post_save, sender=Customer, dispatch_uid="announce_customer")
def announce_customer(instance: Customer, created: bool, raw: bool, **_kwargs: Any) -> None:
    """Announce who joined, and whose details changed."""
    if raw:
        return
    if created:
        announcements.customer_created(instance)
    elif instance.changed(*DETAILS):
        announcements.customer_updated(instance)
    note_edited(instance, CREATED if created else EDITED)
    if not created and instance.changed("tier"):
        TierChange.objects.create(customer=instance, tier=instance.tier, former_tier=instance.former_tier)
    instance.remember()


def announce_new(sender: type, instance: Any, created: bool, raw: bool, **_kwargs: Any) -> None:
    """Announce an order, a review, a referral or a tier."""
    if created and not raw:
        NEW[sender](instance)


for model in NEW:
    post_save.connect(announce_new, sender=model, dispatch_uid=f"announce_{model.__name__.lower()}")
