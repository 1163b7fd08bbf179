"""Referrals: a friend is told of, and becomes a customer."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from nectorbridge.loyalty import announcements
from nectorbridge.loyalty.models import Customer, Referral, ReferralStatus
from nectorbridge.loyalty.services import checks


class ReferralError(ValueError):
    """A referral cannot be started or completed like that. The message says why."""


def start_referral(
    customer: Customer,
    friend_email: str = "",
    friend_phone: str = "",
    friend_name: str = "",
    coupon_code: str = "",
    portal: str = "",
) -> Referral:
    """Write down that a customer refers a friend; both are told. Raises ReferralError where the friend cannot be reached."""
    checks.portal(portal)
    email, phone = checks.fits(friend_email, 254, "friend_email"), checks.fits(friend_phone, 20, "friend_phone")
    check_friend(customer, email, phone)
    return Referral.objects.create(
        customer=customer,
        friend_email=email,
        friend_phone=phone,
        friend_name=checks.fits(friend_name, 200, "friend_name"),
        coupon_code=checks.fits(coupon_code, 64, "coupon_code"),
        portal=portal,
    )


def check_friend(customer: Customer, email: str, phone: str) -> None:
    """Refuse a friend who cannot be reached, or who is the customer. Raises ReferralError."""
    if not email and not phone:
        raise ReferralError("A friend needs an email or a mobile number.")
    if email and email.lower() == customer.email.lower():
        raise ReferralError("A customer cannot refer themselves.")


def complete_referral(referral: Referral, friend: Customer | None = None, reward_coins: int = 0, portal: str = "") -> Referral:
    """Note that the friend ordered, once; the one who referred them is told. Raises ReferralError where it is over already."""
    checks.portal(portal)
    if isinstance(reward_coins, bool) or not isinstance(reward_coins, int) or reward_coins < 0:
        raise ReferralError(f"reward_coins must be a whole number, 0 or more; got {reward_coins!r}")
    with transaction.atomic():
        referral = Referral.objects.select_for_update(of=("self",)).select_related("customer__merchant").get(pk=referral.pk)
        if referral.status != ReferralStatus.STARTED:
            raise ReferralError(f"This referral is {referral.get_status_display().lower()} already.")
        referral.status, referral.completed_at = ReferralStatus.COMPLETED, timezone.now()
        referral.friend, referral.reward_coins = friend or referral.friend, reward_coins
        referral.save(update_fields=["status", "completed_at", "friend", "reward_coins", "updated_at"])
        announcements.referral_completed(referral, portal)
    return referral


def cancel_referral(referral: Referral, portal: str = "") -> Referral:
    """Give up a referral that led to nothing, once. Nobody is told. Raises ReferralError where it is over already."""
    checks.portal(portal)
    with transaction.atomic():
        referral = Referral.objects.select_for_update(of=("self",)).select_related("customer__merchant").get(pk=referral.pk)
        if referral.status != ReferralStatus.STARTED:
            raise ReferralError(f"This referral is {referral.get_status_display().lower()} already.")
        referral.status = ReferralStatus.CANCELLED
        referral.save(update_fields=["status", "updated_at"])
    return referral
