"""Customers: their tier, and two that are one."""

from __future__ import annotations

from django.db import transaction

from nectorbridge.loyalty import ledger
from nectorbridge.loyalty.models import (
    Consent,
    ConsentChange,
    Coupon,
    Customer,
    MergedCustomer,
    Order,
    Referral,
    Review,
    TierChange,
    Wallet,
)
from nectorbridge.loyalty.models.customers import CONSENTS
from nectorbridge.loyalty.services import checks

IDENTITY = ("customer_id", "nector_id", "email", "phone", "name", "tier", "referral_code")


def change_tier(customer: Customer, tier: str, portal: str = "") -> TierChange | None:
    """Move a customer to another tier; empty: to none. Returns the change, or None where they are in it already."""
    checks.portal(portal)
    tier = checks.fits(tier, 60, "tier")
    with transaction.atomic():
        row = Customer.objects.select_for_update().get(pk=customer.pk)
        if row.tier == tier:
            return None
        former, customer.tier = row.tier, tier
        Customer.objects.filter(pk=row.pk).update(tier=tier)
        return TierChange.objects.create(customer=customer, tier=tier, former_tier=former, portal=portal)


def merge_customers(kept: Customer, other: Customer) -> Customer:
    """Make one customer of two: everything the other has becomes the kept one's, and the other is gone.

    What the kept one does not know of itself it takes from the other. A no of either stays a no. Nothing is announced: nothing
    happened. Raises ValueError for one customer twice, or for customers of two merchants.
    """
    if kept.pk == other.pk:
        raise ValueError("A customer cannot be merged with themselves.")
    if kept.merchant_id != other.merchant_id:
        raise ValueError("Customers of two merchants cannot be merged.")
    with transaction.atomic():
        rows = {row.pk: row for row in Customer.objects.select_for_update().filter(pk__in=[kept.pk, other.pk]).order_by("pk")}
        kept, other = rows[kept.pk], rows[other.pk]
        _move_coins(kept, other)
        mine = set(kept.coupons.values_list("code", flat=True))
        for coupon in other.coupons.all():  # a code is a customer's only once: the other's copy keeps a mark of where it is from
            code = coupon.code if coupon.code not in mine else f"{coupon.code[:40]}~{coupon.pk}"
            Coupon.objects.filter(pk=coupon.pk).update(customer=kept, code=code)
        bought = set(kept.orders.values_list("order_id", flat=True))
        Order.objects.filter(customer=other).exclude(order_id__in=bought).update(customer=kept)
        said = set(kept.reviews.exclude(nector_id="").values_list("nector_id", flat=True))
        Review.objects.filter(customer=other).exclude(nector_id__in=said).update(customer=kept)
        for model in (Referral, TierChange, ConsentChange):
            model.objects.filter(customer=other).update(customer=kept)
        Referral.objects.filter(friend=other).update(friend=kept)
        values = {name: getattr(kept, name) or getattr(other, name) for name in IDENTITY}
        values |= {name: _stricter(getattr(kept, name), getattr(other, name)) for name in CONSENTS}
        MergedCustomer.objects.filter(customer=other).update(customer=kept)
        MergedCustomer.objects.create(former_key=other.pk, customer=kept)
        other.delete()
        for name, value in values.items():
            setattr(kept, name, value)
        Customer.objects.filter(pk=kept.pk).update(**values)
    return kept


def _move_coins(kept: Customer, other: Customer) -> None:
    """Hang the other wallet's history into the kept one: lots, debits and balance alike, so that sums stay right."""
    theirs = Wallet.objects.filter(customer=other).first()
    if theirs is None:
        return
    first, second = sorted((ledger.open_wallet(kept.pk).pk, theirs.pk))
    locked = {pk: ledger.lock(pk) for pk in (first, second)}
    mine, theirs = next(row for row in locked.values() if row.pk != theirs.pk), locked[theirs.pk]
    ledger.take_over(mine, theirs)
    theirs.delete()


def _stricter(one: str, another: str) -> str:
    """Return what two answers mean together: a no of either is a no, a yes needs nobody's no."""
    for answer in (Consent.UNSUBSCRIBED, Consent.SUBSCRIBED):
        if answer in (one, another):
            return answer
    return Consent.UNKNOWN
