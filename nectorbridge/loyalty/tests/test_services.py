"""What may happen besides coins and coupons: orders, reviews, referrals, tiers, and two customers who are one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from events.models import EventDelivery
from nectorbridge.loyalty import ledger, services
from nectorbridge.loyalty.announcements import friend_ref
from nectorbridge.loyalty.host import LoyaltyHost
from nectorbridge.loyalty.models import Customer, MergedCustomer, Order, Referral, Review, TierChange, Wallet, WalletTransaction
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
TOPICS = [
    "order_create",
    "order_refunded",
    "reviewrequest_create",
    "review_create",
    "review_approved",
    "referral_started",
    "refereenotify_create",
    "referrernotify_create",
    "viptier_create",
    "lead_create",
    "lead_update",
    "walletreward_create",
]


@pytest.fixture
def heard(shop):
    """An event of every topic; returns the deliveries of one, oldest first."""
    integration = make.integration(shop)
    for topic in TOPICS:
        make.definition(integration, trigger=topic, name=topic)
    return lambda topic: list(EventDelivery.objects.filter(trigger=topic).order_by("created_at", "id"))


@pytest.fixture
def other(shop):
    return Customer.objects.create(merchant=shop, email="asha@work.example", phone="+919876543210", tier="Gold")


# --- Orders ----------------------------------------------------------------------------------------------------------------
def test_an_order_is_placed_once_and_announced_where_it_happened(heard, customer):
    order = services.place_order(customer, "99", "1299.50", number="#1042", coupon_code="THANKS10", portal="pos")
    (told,) = heard("order_create")
    assert (told.payload["order_total"], told.payload["order_number"], told.portal) == (1299.5, "#1042", "pos")
    assert order.currency == customer.merchant.currency
    with pytest.raises(services.OrderError, match="there already"):
        services.place_order(customer, "99", 1)
    assert Order.objects.count() == 1


@pytest.mark.parametrize("values", [{"order_id": " "}, {"total": "-1"}, {"total": "many"}, {"total": "NaN"}, {"portal": "all"}])
def test_an_impossible_order_is_refused(customer, values):
    with pytest.raises(ValueError):
        services.place_order(customer, **{"order_id": "1", "total": 5, **values})
    assert not Order.objects.exists()


def test_an_order_is_refunded_in_parts_and_not_beyond_its_total(heard, customer):
    order = services.place_order(customer, "99", 100)
    assert services.refund_order(order, 30).status == "placed"
    with pytest.raises(services.OrderError, match=r"70\.00 is left"):
        services.refund_order(order, 71)
    refunded = services.refund_order(order)
    assert (refunded.status, refunded.refunded_total) == ("refunded", Decimal(100))
    with pytest.raises(services.OrderError):
        services.refund_order(order)
    assert [(row.payload["refunded_amount"], row.payload["refunded_total"]) for row in heard("order_refunded")] == [
        (30, 30),
        (70, 100),
    ]


# --- Reviews ---------------------------------------------------------------------------------------------------------------
def test_a_review_is_asked_for_written_and_approved(heard, customer):
    order = services.place_order(customer, "99", 100, number="#1042")
    review = services.request_review(customer, "p1", "Linen shirt", order)
    assert review.is_verified and heard("reviewrequest_create")[0].payload["order_number"] == "#1042"
    with pytest.raises(services.ReviewError):
        services.approve_review(review)
    services.submit_review(review, 5, "Fits well.")
    with pytest.raises(services.ReviewError):
        services.submit_review(review, 4)
    services.approve_review(review)
    assert heard("review_create")[0].payload["rating"] == 5 and len(heard("review_approved")) == 1
    assert Review.objects.get().status == "approved"


def test_a_review_may_come_unasked(heard, customer):
    services.submit_review(customer, 3, product_id="p1", portal="app")
    assert not heard("reviewrequest_create") and heard("review_create")[0].portal == "app"


@pytest.mark.parametrize("rating", [0, 6, 4.5, "5", True, None])
def test_an_impossible_rating_is_refused(customer, rating):
    with pytest.raises(services.ReviewError):
        services.submit_review(customer, rating)


# --- Referrals -------------------------------------------------------------------------------------------------------------
def test_a_friend_who_is_no_customer_is_told_as_they_left_themselves(heard, customer):
    Customer.objects.filter(pk=customer.pk).update(referral_code="ASHA5")
    customer.refresh_from_db()
    referral = services.start_referral(customer, "Ravi@Example.com", friend_name="Ravi", coupon_code="FRIEND10")
    (to_friend,), (to_customer,) = heard("refereenotify_create"), heard("referral_started")
    assert (
        to_friend.customer_ref == friend_ref(customer.merchant_id, "ravi@example.com", "")
        and "ravi" not in to_friend.customer_ref
    )
    assert (to_friend.recipient["email"], to_friend.payload["coupon_code"]) == ("Ravi@Example.com", "FRIEND10")
    assert to_friend.payload["referral_link"].endswith("?ref=ASHA5") and to_friend.payload["referrer_name"] == "Asha Rao"
    assert (to_friend.status, to_friend.reason) == ("skipped", "no_identity"), "an integration by customer ID cannot reach them"
    assert "example.com" not in str({**to_customer.payload, "user_email": ""}), "the friend's address is nobody else's"
    services.complete_referral(referral, reward_coins=200)
    assert heard("referrernotify_create")[0].payload["coins"] == 200
    with pytest.raises(services.ReferralError, match="completed already"):
        services.complete_referral(referral)


def test_a_referral_that_led_to_nothing_is_cancelled_once_and_nobody_is_told(heard, customer):
    referral = services.start_referral(customer, "ravi@example.com")
    before = EventDelivery.objects.count()
    assert services.cancel_referral(referral).status == "cancelled"
    for verb in (services.cancel_referral, services.complete_referral):
        with pytest.raises(services.ReferralError, match="cancelled already"):
            verb(referral)
    assert EventDelivery.objects.count() == before


def test_a_review_is_rejected_also_after_it_was_approved_and_announced_as_changed(heard, customer):
    make.definition(customer.merchant.integrations.get(), trigger="review_update", name="changed")
    review = services.request_review(customer)
    with pytest.raises(services.ReviewError, match="only one that was submitted or approved"):
        services.reject_review(review)
    review = services.approve_review(services.submit_review(review, 2, "Bad"))
    review = services.reject_review(review)
    assert (review.status, review.approved_at) == ("rejected", None)
    with pytest.raises(services.ReviewError):
        services.reject_review(review)
    assert [row.payload["review_status"] for row in heard("review_update")] == ["rejected"]
    assert services.approve_review(review).status == "approved", "somebody may change their mind"


@pytest.mark.parametrize("friend", [{}, {"friend_email": " "}, {"friend_email": "ASHA@example.com"}, {"friend_phone": "1" * 21}])
def test_an_impossible_friend_is_refused(customer, friend):
    with pytest.raises(ValueError):
        services.start_referral(customer, **friend)
    assert not Referral.objects.exists()


# --- Customers -------------------------------------------------------------------------------------------------------------
def test_a_tier_changes_by_service_or_by_hand_and_is_told_once(heard, customer):
    services.change_tier(customer, "Silver")
    assert services.change_tier(customer, "Silver") is None
    customer = Customer.objects.get(pk=customer.pk)
    customer.tier = "Gold"
    customer.save()
    customer.save()
    assert [(row.payload["tier"], row.payload.get("former_tier")) for row in heard("viptier_create")] == [
        ("Silver", None),
        ("Gold", "Silver"),
    ]
    assert TierChange.objects.count() == 2 and not heard("lead_update")


def test_who_joins_learns_how_to_earn_and_what_changes_is_told(heard, shop):
    customer = Customer.objects.create(merchant=shop, customer_id="c9", email="new@example.com")
    (joined,) = heard("lead_create")
    assert "points" in joined.payload["how_to_earn"] and joined.payload["how_to_redeem"]
    customer.consent_email = "subscribed"
    customer.save()
    assert not heard("lead_update"), "consent is no news"
    customer.name = "New"
    customer.save(update_fields=["name"])
    assert len(heard("lead_update")) == 1


def test_two_customers_become_one_with_everything_they_have_and_nobody_is_told(heard, customer, other):
    services.credit(customer, 100)
    services.credit(other, 50)
    services.debit(other, 20)
    services.create_coupon(customer, "SAME", "percent", 10)
    services.create_coupon(other, "SAME", "percent", 10)
    services.place_order(other, "99", 10)
    services.start_referral(other, "friend@example.com")
    Customer.objects.filter(pk=other.pk).update(consent_email="unsubscribed")
    Customer.objects.filter(pk=customer.pk).update(consent_email="subscribed", consent_sms="subscribed")
    before = EventDelivery.objects.count()
    gone = other.pk
    kept = services.merge_customers(customer, other)
    assert (kept.pk, kept.customer_id, kept.email, kept.phone, kept.tier) == (
        customer.pk,
        "c1",
        "asha@example.com",
        "+919876543210",
        "Gold",
    )
    assert (kept.consent_email, kept.consent_sms) == ("unsubscribed", "subscribed"), "a no of either is a no"
    assert Customer.objects.get().coupons.count() == 2 and kept.orders.count() == kept.referrals.count() == 1
    assert Wallet.objects.get().balance == 130 and not ledger.unbalanced().exists()
    lots = WalletTransaction.objects.filter(remaining__gt=0)
    assert sum(lots.values_list("remaining", flat=True)) == 130
    services.debit(kept, 130)
    assert EventDelivery.objects.count() == before
    assert MergedCustomer.objects.get().former_key == gone
    asked = LoyaltyHost().consents(kept.merchant_id, [str(gone), kept.ref, "999999"], "email")
    assert asked == {str(gone): "unsubscribed", kept.ref: "unsubscribed"}, "what is still under way for the former one"


def test_merging_refuses_oneself_and_another_merchants_customer(customer, db):
    stranger = Customer.objects.create(merchant=make.merchant("elsewhere"), customer_id="c1")
    for another in (customer, stranger):
        with pytest.raises(ValueError, match="cannot be merged"):
            services.merge_customers(customer, another)
    assert Customer.objects.count() == 2
