"""What the ledger tells the outbox: rows turned into activities, in the caller's database transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

import events
from integrations.kept_words import kept
from nectorbridge.loyalty import properties as told
from nectorbridge.loyalty.models import (
    Coupon,
    Customer,
    Operation,
    Order,
    Referral,
    Review,
    ReviewStatus,
    TierChange,
    WalletTransaction,
)
from nectorbridge.loyalty.models.wallets import Kind

NOTHING: Mapping[str, Any] = MappingProxyType({})


def transaction_created(entry: WalletTransaction) -> None:
    """Announce coins that came, were spent, or expired."""
    if (activity := of_transaction(entry)) is not None:
        events.record(activity)


def of_transaction(entry: WalletTransaction, is_backfill: bool = False) -> events.Activity | None:
    """Return what a new transaction tells; None: nobody is told."""
    if entry.kind == Kind.ADJUSTMENT:
        return None
    if entry.operation == Operation.CREDIT:
        trigger = "walletreward_create"
    else:
        trigger = "coins_expired" if entry.kind == Kind.EXPIRY else "coins_redeemed"
    customer, what = entry.wallet.customer, told.of_transaction(entry)
    return activity_of(trigger, str(entry.pk), customer, what, entry.created_at, entry.portal, is_backfill=is_backfill)


def transaction_updated(entry: WalletTransaction) -> None:
    """Announce that the words of an existing transaction changed."""
    now = timezone.now()
    _announce(
        "wallettrasaction_update",
        revision(entry.pk, now),
        entry.wallet.customer,
        told.of_transaction(entry),
        now,
        entry.portal,
    )


def coupon_created(coupon: Coupon) -> None:
    """Announce a new coupon."""
    _announce("coupon_create", str(coupon.pk), coupon.customer, told.of_coupon(coupon), coupon.created_at, coupon.portal)


def coupon_updated(coupon: Coupon) -> None:
    """Announce that a coupon changed."""
    subject = revision(coupon.pk, coupon.updated_at)
    _announce("coupon_update", subject, coupon.customer, told.of_coupon(coupon), coupon.updated_at, coupon.portal)


def coupon_redeemed(coupon: Coupon, portal: str) -> None:
    """Announce that a coupon was used, at the portal where it was used."""
    _announce("coupon_redeemed", str(coupon.pk), coupon.customer, told.of_coupon(coupon), timezone.now(), portal)


def order_created(order: Order) -> None:
    """Announce a new order."""
    _announce("order_create", str(order.pk), order.customer, told.of_order(order), order.placed_at, order.portal)


def order_updated(order: Order, portal: str = "") -> None:
    """Announce that an order changed."""
    subject = revision(order.pk, order.updated_at)
    _announce("order_update", subject, order.customer, told.of_order(order), order.updated_at, portal or order.portal)


def order_refunded(order: Order, amount: Decimal, portal: str = "") -> None:
    """Announce that money was given back for an order."""
    now = timezone.now()
    more = {"refunded_amount": told.number(amount), "refunded_total": told.number(order.refunded_total)}
    _announce("order_refunded", revision(order.pk, now), order.customer, told.of_order(order) | more, now, portal or order.portal)


def review_created(review: Review) -> None:
    """Announce that a review was asked for or, where it came unasked, that it was written."""
    if review.status == ReviewStatus.REQUESTED:
        _announce(
            "reviewrequest_create", str(review.pk), review.customer, told.of_review(review), review.requested_at, review.portal
        )
    else:
        review_submitted(review, review.portal)


def review_submitted(review: Review, portal: str = "") -> None:
    """Announce that a review was written."""
    moment = review.submitted_at or timezone.now()
    _announce("review_create", str(review.pk), review.customer, told.of_review(review), moment, portal or review.portal)


def review_updated(review: Review, portal: str = "") -> None:
    """Announce that a review changed."""
    subject = revision(review.pk, review.updated_at)
    _announce("review_update", subject, review.customer, told.of_review(review), review.updated_at, portal or review.portal)


def review_approved(review: Review, portal: str = "") -> None:
    """Announce that a review was approved."""
    moment = review.approved_at or timezone.now()
    _announce(
        "review_approved",
        revision(review.pk, moment),
        review.customer,
        told.of_review(review),
        moment,
        portal or review.portal,
    )


def referral_started(referral: Referral) -> None:
    """Announce a referral to the customer, and to the friend, who may be none yet."""
    customer, moment = referral.customer, referral.started_at
    _announce("referral_started", str(referral.pk), customer, told.of_referral(referral), moment, referral.portal)
    friend_told("refereenotify_create", str(referral.pk), referral, moment, referral.portal)


def referral_completed(referral: Referral, portal: str = "") -> None:
    """Announce to the customer that their friend ordered."""
    moment = referral.completed_at or timezone.now()
    subject, where = str(referral.pk), portal or referral.portal
    _announce("referrernotify_create", subject, referral.customer, told.of_referral(referral), moment, where)


def friend_told(trigger: str, subject: str, referral: Referral, moment: datetime, portal: str) -> None:
    """Announce something to the friend."""
    events.record(friend_activity(trigger, subject, referral, moment, portal))


def friend_activity(
    trigger: str,
    subject: str,
    referral: Referral,
    moment: datetime,
    portal: str,
    only: int | None = None,
    more: Mapping[str, Any] = NOTHING,
) -> events.Activity:
    """Return what the friend is told: as a customer where they are one, otherwise as the snapshot that they left."""
    customer, properties = referral.customer, {**told.of_friend(referral), **more}
    if referral.friend is not None:
        return activity_of(trigger, subject, referral.friend, properties, moment, portal, only=only)
    return events.Activity(
        merchant_id=customer.merchant_id,
        trigger=trigger,
        customer_ref=friend_ref(customer.merchant_id, referral.friend_email, referral.friend_phone),
        recipient={"email": referral.friend_email, "phone": referral.friend_phone, "name": referral.friend_name},
        properties=properties,
        occurred_at=moment,
        key=f"{trigger}:{subject}",
        portal=portal,
        consent={},  # nobody has asked them yet
        definition_ids=frozenset() if only is None else frozenset({only}),
    )


def friend_ref(merchant_id: int, email: str, phone: str) -> str:
    """Return the reference of somebody who is no customer yet: the same for the same address, and telling nothing of it."""
    whose = f"{merchant_id}:{email.strip().lower() or phone.strip()}"
    return f"friend:{hashlib.sha256(whose.encode()).hexdigest()[:32]}"


def tier_changed(change: TierChange) -> None:
    """Announce that a customer is in another tier."""
    properties = {"tier": change.tier or None, "former_tier": change.former_tier or None}
    _announce("viptier_create", str(change.pk), change.customer, properties, change.changed_at, change.portal)


def customer_created(customer: Customer) -> None:
    """Announce that a customer joined."""
    events.record(of_new_customer(customer))


@kept()
def of_new_customer(customer: Customer, is_backfill: bool = False) -> events.Activity:
    """Return what is told of a customer who joined, with what they should know first."""
    words = {"coins": customer.merchant.coin_name, "store": customer.merchant.name}
    properties = {
        "joined_at": customer.created_at,
        "how_to_earn": _("Collect %(coins)s with every order, review and friend at %(store)s.") % words,
        "how_to_redeem": _("Turn %(coins)s into a coupon and use it at checkout.") % words,
    }
    return activity_of("lead_create", str(customer.pk), customer, properties, customer.created_at, "", is_backfill=is_backfill)


def customer_updated(customer: Customer) -> None:
    """Announce that a customer's details changed."""
    events.record(of_changed_customer(customer))


def of_changed_customer(customer: Customer, is_backfill: bool = False) -> events.Activity:
    """Return what is told of a customer whose details changed."""
    moment, properties = customer.changed_at, {"joined_at": customer.created_at}
    return activity_of("lead_update", revision(customer.pk, moment), customer, properties, moment, "", is_backfill=is_backfill)


def passed_on(
    trigger: str, subject: str, customer: Customer, properties: Mapping[str, Any], occurred_at: datetime, portal: str
) -> None:
    """Announce what another ledger says happened, with what it says about it."""
    _announce(trigger, subject, customer, dict(properties), occurred_at, portal)


def _announce(
    trigger: str, subject: str, customer: Customer, properties: dict[str, Any], occurred_at: datetime, portal: str
) -> None:
    """Record one activity under a key that names what happened."""
    events.record(activity_of(trigger, subject, customer, properties, occurred_at, portal))


def activity_of(
    trigger: str,
    subject: str,
    customer: Customer,
    properties: Mapping[str, Any],
    occurred_at: datetime,
    portal: str,
    *,
    only: int | None = None,
    is_backfill: bool = False,
) -> events.Activity:
    """Return one activity of a customer under a key that names what happened; `only`: the one event that it concerns."""
    return events.Activity(
        merchant_id=customer.merchant_id,
        trigger=trigger,
        customer_ref=customer.ref,
        recipient=customer.recipient,
        properties={**properties, "user_tier": customer.tier, "user_referral_code": customer.referral_code},
        occurred_at=occurred_at,
        key=f"{trigger}:{subject}",
        portal=portal,
        is_backfill=is_backfill,
        consent=customer.consent_now(),
        definition_ids=frozenset() if only is None else frozenset({only}),
    )


def revision(pk: int, moment: datetime) -> str:
    """Return a subject that differs for each change of a row."""
    return f"{pk}:{moment:%Y%m%dT%H%M%S%f}"
