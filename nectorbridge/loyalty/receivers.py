"""Signal handlers: saving a wallet transaction or a coupon announces it, in the same database transaction."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from nectorbridge.loyalty import announcements
from nectorbridge.loyalty.models import Coupon, WalletTransaction


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
