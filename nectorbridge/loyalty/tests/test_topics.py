"""What webhooks become: rows of the ledger and activities, in both shapes, in any order, and once."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from events import retention, triggers
from events.models import EventDefinition, EventDelivery
from integrations.models import Integration
from nectorbridge.loyalty import ledger
from nectorbridge.loyalty.models import (
    Coupon,
    Customer,
    Inbox,
    Order,
    Review,
    TierChange,
    Wallet,
    WalletTransaction,
    WebhookReceipt,
)
from nectorbridge.loyalty.nector import body as bodies
from nectorbridge.loyalty.nector import inbox, record
from nectorbridge.testing import make

WHO = {
    "id": "shopify-7078",
    "email": "asha@example.com",
    "first_name": "Asha",
    "last_name": "Rao",
    "mobile": "9876543210",
    "country": "ind",
}
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    monkeypatch.setattr("events.bell.async_task", lambda *_args, **_kwargs: None)


@pytest.fixture
def listen(shop):
    """Make an event of every topic that is asked for."""

    def listening(*topics):
        integration = Integration.objects.first() or make.integration(shop)
        for topic in topics:
            make.definition(integration, trigger=topic, name=topic.replace(":", " "))

    return listening


numbers = itertools.count(1)


def arrive(shop, topic, content, sent_at=None, source="unix", works=True):
    """Let a webhook come in and be worked on; return its receipt."""
    number = next(numbers)
    arrived = inbox.Arrived(topic, content, bodies.fingerprint(number), f"d{number}", source, sent_at, "absent")
    assert inbox.store(shop.pk, arrived)
    if works:
        inbox.work(shop.pk)
    return WebhookReceipt.objects.get(delivery_id=f"d{number}")


def coins(amount, key="", who=WHO, **more):
    return {
        "business_name": "Shop",
        "amount": amount,
        "operation": "cr",
        "_id": key or f"t{next(numbers)}",
        "customer": who,
        **more,
    }


def sent(trigger):
    return [row.payload for row in EventDelivery.objects.filter(trigger=trigger).order_by("created_at", "id")]


def balance():
    assert not ledger.unbalanced().exists()
    return Wallet.objects.get().balance


# --- Customers -------------------------------------------------------------------------------------------------------------
def test_a_customer_is_made_of_a_webhook_and_brought_up_to_date(shop, listen):
    listen("lead_create", "lead_update")
    receipt = arrive(shop, "lead_create", {"customer": WHO, "business_name": "Shop"})
    customer = Customer.objects.get()
    assert (customer.customer_id, customer.nector_id, customer.name) == ("7078", "shopify-7078", "Asha Rao")
    assert (customer.email, customer.phone) == ("asha@example.com", "+919876543210")
    assert (
        receipt.state == "done" and receipt.customer_ref == customer.ref and receipt.became == [["loyalty.customer", customer.pk]]
    )
    arrive(shop, "lead_update", {"customer": {**WHO, "first_name": "Aasha"}})
    arrive(shop, "lead_update", {"customer": {**WHO, "first_name": "Aasha"}})
    assert Customer.objects.get().name == "Aasha Rao"
    assert len(sent("lead_create")) == len(sent("lead_update")) == 1, "the same news twice is no news"


@pytest.mark.parametrize("written", ["7078", "shopify-7078", "custom_website-custom-7078", "custom-7078"])
def test_one_person_is_found_however_the_id_is_prefixed(shop, written):
    arrive(shop, "lead_create", {"customer": WHO})
    arrive(shop, "lead_update", {"customer": {"id": written, "name": "Asha R"}})
    assert Customer.objects.get().name == "Asha R"


@pytest.mark.parametrize("written", ["7078", "shopify-7078", "custom_website-custom-7078"])
@pytest.mark.parametrize("stored", ["7078", "shopify-7078", "custom-7078", "custom_website-custom-7078"])
def test_a_customer_who_is_known_by_a_prefixed_id_stays_the_same(shop, stored, written):
    known = Customer.objects.create(merchant=shop, customer_id=stored)
    arrive(shop, "lead_update", {"customer": {**WHO, "id": written}})
    assert Customer.objects.get().pk == known.pk


def test_flat_keys_name_the_customer_as_well(shop):
    flat = {"user_customer_id": "shopify-9", "user_name": "Ravi", "user_email": "r@example.com", "user_referral_code": "RAVI5"}
    arrive(shop, "walletreward_create", {**flat, "business_name": "Shop", "amount": "15", "operation": "cr"})
    customer = Customer.objects.get()
    assert (customer.customer_id, customer.name, customer.referral_code, balance()) == ("9", "Ravi", "RAVI5", 15)


def test_a_customer_without_email_is_legal_and_is_found_by_mobile(shop):
    arrive(shop, "lead_create", {"customer": {"mobile": "98765 43210", "country": "ind", "name": "Counter"}})
    arrive(shop, "walletreward_create", coins(10, who={"mobile": "+919876543210"}))
    assert Customer.objects.get().phone == "+919876543210" and balance() == 10
    arrive(shop, "lead_update", {"customer": {"id": "shopify-1", "mobile": "+919876543210"}})
    assert Customer.objects.get().customer_id == "1", "and gets an ID once there is one"


def test_two_leads_of_one_person_stay_two_until_a_person_says_otherwise(shop):
    arrive(shop, "lead_create", {"customer": {"id": "shopify-1", "email": "asha@example.com"}})
    arrive(shop, "lead_create", {"customer": {"id": "shopify-2", "email": "asha@example.com"}})
    assert Customer.objects.count() == 2


def test_masked_addresses_name_nobody(shop):
    receipt = arrive(shop, "lead_create", {"customer": {"email": "a***@example.com", "mobile": "98******10"}})
    assert receipt.state == "failed" and "names no customer" in receipt.detail and not Customer.objects.exists()


def test_old_news_of_a_person_changes_nothing_but_fills_what_is_empty(shop):
    arrive(shop, "lead_update", {"customer": {"id": "1", "name": "New"}, "updated_at": "2026-11-02T00:00:00Z"})
    arrive(
        shop,
        "lead_update",
        {"customer": {"id": "1", "name": "Old", "email": "a@b.example"}, "updated_at": "2026-11-01T00:00:00Z"},
    )
    customer = Customer.objects.get()
    assert (customer.name, customer.email) == ("New", "a@b.example")


# --- Coins -----------------------------------------------------------------------------------------------------------------
def test_coins_are_posted_once_and_announced(shop, listen):
    listen("walletreward_create", "coins_redeemed")
    content = coins("50", "t1", title="Order #1042", created_at="2026-11-01T12:00:00Z")
    arrive(shop, "walletreward_create", content)
    arrive(shop, "walletreward_create", content)
    (payload,) = sent("walletreward_create")
    assert (payload["coins"], payload["balance"], payload["title"], balance()) == (50, 50, "Order #1042", 50)
    entry = WalletTransaction.objects.get()
    assert (entry.nector_id, entry.created_at) == ("t1", NOON)
    arrive(shop, "walletreward_create", coins(20, operation="dr"))
    assert balance() == 30 and sent("coins_redeemed")[0]["coins"] == 20


def test_nectors_balance_wins_and_the_adjustment_is_told_to_nobody(shop, listen):
    listen("walletreward_create", "coins_redeemed")
    arrive(shop, "walletreward_create", coins(50, available="480"))
    assert balance() == 480 and [payload["balance"] for payload in sent("walletreward_create")] == [480]
    arrive(shop, "walletreward_create", coins(600, operation="dr", balance=0))
    assert balance() == 0 and len(sent("coins_redeemed")) == 1


def test_what_comes_late_is_written_down_and_moves_no_balance_back(shop):
    later, earlier = "2026-11-02T00:00:00Z", "2026-11-01T00:00:00Z"
    arrive(shop, "walletreward_create", coins(30, "second", balance=80, created_at=later))
    arrive(shop, "walletreward_create", coins(50, "first", balance=50, created_at=earlier))
    assert balance() == 80 and WalletTransaction.objects.filter(nector_id="first").exists()


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_in_whatever_order_they_come_the_newest_balance_stands(shop, order):
    steps = [("cr", 100, 100), ("dr", 30, 70), ("cr", 5, 75), ("dr", 75, 0)]
    for number in order:
        operation, amount, after = steps[number]
        at = (NOON + timedelta(hours=number)).isoformat()
        arrive(shop, "walletreward_create", coins(amount, f"t{number}", operation=operation, balance=after, created_at=at))
    assert balance() == 0 and WalletTransaction.objects.exclude(nector_id="").count() == 4


@pytest.mark.parametrize("topic", ["wallettrasaction_update", "wallettransaction_update"])
def test_both_spellings_of_a_changed_transaction(shop, listen, topic):
    listen("wallettrasaction_update")
    arrive(shop, "walletreward_create", coins(50, "t1", title="Order"))
    arrive(shop, topic, coins(50, "t1", title="Order, corrected"))
    assert WalletTransaction.objects.get().title == "Order, corrected" and balance() == 50
    assert [payload["title"] for payload in sent("wallettrasaction_update")] == ["Order, corrected"]


@pytest.mark.parametrize("amount", [None, "", "many", 0, 10**16, True, [5], "NaN"])
def test_an_impossible_amount_fails_with_a_reason_and_can_be_run_again(shop, amount):
    receipt = arrive(shop, "walletreward_create", coins(amount))
    assert receipt.state == "failed" and receipt.detail and not WalletTransaction.objects.exists()
    assert inbox.RECEIPTS.run_again(WebhookReceipt.objects.all()) == 1
    inbox.work(shop.pk)
    assert WebhookReceipt.objects.get().state == "failed"


def test_a_transaction_that_did_not_succeed_moves_nothing(shop):
    receipt = arrive(shop, "walletreward_create", coins(50, status="pending"))
    assert receipt.state == "done" and not WalletTransaction.objects.exists()


def test_a_debit_comes_while_coins_are_over_that_nobody_has_taken_back_yet(shop):
    arrive(shop, "walletreward_create", coins(100, expires_at="2026-10-31T00:00:00Z", created_at="2026-10-01T00:00:00Z"))
    receipt = arrive(shop, "walletreward_create", coins(50, operation="dr", created_at=NOON.isoformat()))
    assert receipt.state == "done" and balance() == 0
    arrive(shop, "walletreward_create", coins(10, operation="dr", balance=40, created_at="2026-11-02T00:00:00Z"))
    assert balance() == 40


def test_run_again_tells_nothing_twice(shop, listen):
    listen("walletreward_create", "wallettrasaction_update", "coupon_create", "unusedcouponrequest_create")
    arrive(shop, "walletreward_create", coins(50, "t1", title="Order"))
    arrive(shop, "wallettrasaction_update", coins(50, "t1", title="Order, corrected"))
    arrive(shop, "coupon_create", coupon())
    arrive(shop, "unusedcouponrequest_create", coupon())
    before = EventDelivery.objects.count(), balance()
    inbox.RECEIPTS.run_again(WebhookReceipt.objects.filter(topic__in=["wallettrasaction_update", "coupon_create", NUDGES[2]]))
    inbox.work(shop.pk)
    assert (EventDelivery.objects.count(), balance()) == before == (4, 50)


# --- Coupons, orders, reviews, tiers -----------------------------------------------------------------------------------------
def coupon(**more):
    return {
        "value": "THANKS10",
        "fiat_class": "percent",
        "fiat_value": "10",
        "minimumcart_amount": "500",
        "customer": WHO,
        **more,
    }


def test_a_coupon_is_made_changed_and_used(shop, listen):
    listen("coupon_create", "coupon_update", "coupon_redeemed")
    arrive(shop, "coupon_create", coupon(expire="2030-12-31T00:00:00Z", status="issued", updated_at="2026-11-01T00:00:00Z"))
    row = Coupon.objects.get()
    assert (row.code, row.value_class, row.value, row.minimum_cart_amount) == ("THANKS10", "percent", Decimal(10), Decimal(500))
    assert sent("coupon_create")[0]["coupon_code"] == "THANKS10"
    arrive(shop, "coupon_update", coupon(status="redeemed", updated_at="2026-11-03T00:00:00Z"))
    arrive(shop, "coupon_update", coupon(status="issued", updated_at="2026-11-02T00:00:00Z"))
    assert Coupon.objects.get().status == "redeemed" and len(sent("coupon_redeemed")) == 1


def test_a_coupon_may_have_its_values_under_meta(shop):
    meta = {"fiat_class": "amount", "fiat_value": 150, "minimumcart_amount": 0}
    arrive(shop, "coupon_update", {"value": "C1", "meta": meta, "customer": WHO})
    row = Coupon.objects.get()
    assert (row.value_class, row.value) == ("amount", Decimal(150))


def order(**more):
    return {
        "id": "shopify-99",
        "name": "#1042",
        "total": "1299.50",
        "currency": "INR",
        "status": "pending",
        "customer": WHO,
        **more,
    }


def test_an_order_is_placed_completed_and_refunded(shop, listen):
    listen("order_create", "order_update", "order_refunded")
    arrive(
        shop, "order_create", order(discount_lines=[{"code": "THANKS10"}], source_name="pos", updated_at="2026-11-01T00:00:00Z")
    )
    row = Order.objects.get()
    assert (row.order_id, row.number, row.total, row.coupon_code, row.portal) == (
        "99",
        "#1042",
        Decimal("1299.50"),
        "THANKS10",
        "pos",
    )
    arrive(shop, "order_update", order(status="completed", updated_at="2026-11-02T00:00:00Z"))
    arrive(shop, "order_update", order(status="refunded", updated_at="2026-11-04T00:00:00Z"))
    arrive(shop, "order_update", order(status="completed", updated_at="2026-11-03T00:00:00Z"))
    assert Order.objects.get().status == "refunded"
    assert [len(sent(name)) for name in ("order_create", "order_update", "order_refunded")] == [1, 1, 1]
    assert sent("order_refunded")[0]["refunded_total"] == 1299.5


def test_a_review_is_written_changed_and_approved(shop, listen):
    listen("review_create", "review_update", "review_approved")
    said = {"_id": "r1", "rating": "4", "description": "Good", "reference_product_id": "p1", "customer": WHO}
    arrive(shop, "review_create", said)
    arrive(shop, "review_update", {**said, "rating": 5})
    arrive(shop, "review_update", {**said, "rating": 5, "status": "approved"})
    row = Review.objects.get()
    assert (row.rating, row.text, row.product_id, row.status) == (5, "Good", "p1", "approved")
    assert [len(sent(name)) for name in ("review_create", "review_update", "review_approved")] == [1, 1, 1]


def test_a_tier_changes_and_is_told_once(shop, listen):
    listen("viptier_create")
    for _ in range(2):
        arrive(shop, "viptier_create", {"tier": "Gold", "customer": WHO})
    assert Customer.objects.get().tier == "Gold" and TierChange.objects.count() == len(sent("viptier_create")) == 1


# --- Reminders and topics of one's own ---------------------------------------------------------------------------------------
NUDGES = [
    "reviewrequest_create",
    "incompletereferralrequest_create",
    "unusedcouponrequest_create",
    "unusedwalletcoinrequest_create",
    "coinexpirynotify_create",
    "refereenotify_create",
    "referrernotify_create",
]


@pytest.mark.parametrize("topic", NUDGES)
def test_a_reminder_is_passed_on_each_time_it_comes(shop, listen, topic):
    listen(topic)
    for _ in range(3):
        arrive(shop, topic, {"_id": 1, "value": "THANKS10", "amount": 40, "business_name": "x", "customer": WHO})
    assert len(sent(topic)) == 3 and all(payload["business_name"] == "Shop" for payload in sent(topic))


def test_every_topic_of_nectors_has_somebody_who_works_on_it():
    from nectorbridge.loyalty.nector.topics import HANDLERS

    ours = {"coins_redeemed", "coupon_redeemed", "coupon_expiring", "referral_started", "review_approved", "coins_expired"}
    ours |= {"milestone_reached", "order_refunded"}
    assert set(HANDLERS) == set(triggers.CATALOGUE) - ours and len(HANDLERS) == 18


def test_a_topic_of_ones_own_is_unheard_until_an_event_is_made_of_it(shop, listen):
    content = {"level": 3, "prize": {"name": "Mug"}, "list": [1], "customer": WHO}
    receipt = arrive(shop, "spin_wheel", content)
    assert receipt.state == "unheard" and not Customer.objects.exists()
    listen("custom:spin_wheel")
    inbox.RECEIPTS.run_again(WebhookReceipt.objects.all())
    inbox.work(shop.pk)
    (payload,) = sent("custom:spin_wheel")
    assert (payload["level"], payload["prize_name"]) == (3, "Mug") and "list" not in payload
    assert EventDefinition.objects.get().name == "custom spin_wheel"


@pytest.mark.parametrize(
    ("source", "portal"), [("unix", ""), ("web", "online_store"), ("mobile", "app"), ("pos", "pos"), ("", "")]
)
def test_where_it_happened_comes_along(shop, source, portal):
    arrive(shop, "walletreward_create", coins(5), source=source)
    assert WalletTransaction.objects.get().portal == portal


# --- The work itself ---------------------------------------------------------------------------------------------------------
def test_a_topic_is_missing(shop):
    assert arrive(shop, "", {"customer": WHO}).state == "failed"


def test_our_own_failure_is_tried_again_and_stops_nobody_else(shop, monkeypatch):
    def broken(_news):
        raise RuntimeError("CANARY of a customer")

    from nectorbridge.loyalty.nector import topics

    monkeypatch.setattr(topics, "HANDLERS", {**topics.HANDLERS, "lead_create": broken})
    arrive(shop, "lead_create", {"customer": WHO}, works=False)
    other = arrive(shop, "walletreward_create", coins(5))
    assert other.state == "done"
    receipt = WebhookReceipt.objects.earliest("id")
    assert (receipt.state, receipt.tries) == ("waiting", 1) and receipt.next_try_at > timezone.now()
    assert "RuntimeError" in receipt.detail and "CANARY" not in receipt.detail
    for _ in range(6):
        WebhookReceipt.objects.filter(next_try_at__isnull=False).update(next_try_at=timezone.now())
        inbox.work(shop.pk)
    receipt.refresh_from_db()
    assert (receipt.state, receipt.tries, receipt.next_try_at) == ("failed", inbox.RECEIPTS.most_tries, None)


def test_one_that_kills_its_worker_each_time_is_given_up(shop, monkeypatch):
    arrive(shop, "lead_create", {"customer": WHO}, works=False)
    WebhookReceipt.objects.update(tries=inbox.RECEIPTS.most_tries)
    inbox.work(shop.pk)
    receipt = WebhookReceipt.objects.get()
    assert receipt.state == "failed" and "worker stopped" in receipt.detail


def test_a_database_that_goes_away_loses_nothing(shop, monkeypatch):
    def away(_receipt):
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr("nectorbridge.loyalty.nector.topics.apply", away)
        with pytest.raises(OperationalError):
            arrive(shop, "lead_create", {"customer": WHO})
    WebhookReceipt.objects.update(next_try_at=timezone.now())
    inbox.work(shop.pk)
    assert WebhookReceipt.objects.get().state == "done" and Inbox.objects.get().leased_until is None


def test_one_works_at_a_time_and_who_comes_later_leaves_it_to_them(shop):
    receipt = arrive(shop, "lead_create", {"customer": WHO}, works=False)
    inbox.ring(shop.pk)
    Inbox.objects.update(leased_until=timezone.now() + timedelta(seconds=30))
    assert inbox.work(shop.pk) == 0 and inbox.ring_for_due() == 0
    Inbox.objects.update(leased_until=timezone.now() - timedelta(seconds=1), rung_at=None)
    assert inbox.ring_for_due() == 1 and inbox.ring_for_due() == 0, "rung for once"
    assert inbox.work(shop.pk) == 1
    receipt.refresh_from_db()
    assert receipt.state == "done"


@pytest.mark.parametrize(
    ("said", "country", "read"),
    [
        ("9876543210", "ind", "+919876543210"),
        ("09876543210", "in", "+919876543210"),
        ("+91 98765-43210", "", "+919876543210"),
        ("9876543210", "", "9876543210"),
        ("9876543210", "zzz", "9876543210"),
        ("98******10", "ind", ""),
        ("12", "ind", ""),
        ("call me", "ind", ""),
    ],
)
def test_mobile_numbers(said, country, read):
    assert record.phone(said, country) == read


def test_what_came_is_kept_as_long_as_payloads_unless_it_waits(shop, settings):
    settings.RETENTION_PAYLOAD_DAYS = 30
    done, waits, fresh = (arrive(shop, "lead_create", {"customer": {"id": str(n)}}) for n in range(3))
    long_ago = timezone.now() - timedelta(days=31)
    WebhookReceipt.objects.filter(pk__in=[done.pk, waits.pk]).update(received_at=long_ago)
    WebhookReceipt.objects.filter(pk=waits.pk).update(next_try_at=timezone.now())
    assert retention.preview()["webhooks"] == 1
    out = StringIO()
    call_command("purge", stdout=out)
    assert "webhooks: 1 done" in out.getvalue()
    assert set(WebhookReceipt.objects.values_list("pk", flat=True)) == {waits.pk, fresh.pk} and Customer.objects.count() == 3
    settings.RETENTION_PAYLOAD_DAYS = 0
    WebhookReceipt.objects.update(received_at=long_ago, next_try_at=None)
    assert "webhooks" not in dict(retention.batches()), "kept for ever"
