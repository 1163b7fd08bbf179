"""The ledger: balances always equal their transactions, lots expire first things first, announcements come once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connections, transaction
from django.db.models import Sum
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.models import EventDefinition, EventDelivery
from nectorbridge.loyalty import ledger, services
from nectorbridge.loyalty.models import Coupon, Customer, LotUse, Wallet, WalletTransaction
from nectorbridge.loyalty.models.wallets import LedgerError
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
TRIGGERS = (
    "walletreward_create",
    "coins_redeemed",
    "coins_expired",
    "wallettrasaction_update",
    "coupon_create",
    "coupon_update",
    "coupon_redeemed",
)


@pytest.fixture
def customer():
    merchant = make.merchant()
    integration = make.integration(merchant)
    for trigger in TRIGGERS:
        EventDefinition.objects.create(integration=integration, trigger=trigger)
    return Customer.objects.create(merchant=merchant, customer_id="c1", email="a@example.com", name="Asha", tier="Gold")


def balance(customer) -> int:
    return Wallet.objects.get(customer=customer).balance


def announced() -> list[str]:
    return list(EventDelivery.objects.order_by("id").values_list("trigger", flat=True))


def assert_sound(customer):
    wallet = Wallet.objects.get(customer=customer)
    assert wallet.balance == (wallet.transactions.aggregate(n=Sum("remaining"))["n"] or 0)
    assert not ledger.unbalanced().exists()


def test_a_credit_moves_the_balance_and_is_announced_once(customer):
    entry = services.credit(customer, 120, "Order #1", portal="pos")
    assert balance(customer) == 120 and entry.balance_after == 120 and announced() == ["walletreward_create"]
    delivery = EventDelivery.objects.get()
    assert delivery.portal == "pos" and delivery.customer_ref == customer.ref
    payload = delivery.payload
    assert (payload["coins"], payload["balance"], payload["operation"], payload["title"]) == (120, 120, "cr", "Order #1")
    assert payload["transaction_id"] == str(entry.pk) and "expires_at" not in payload and payload["user_tier"] == "Gold"


@pytest.mark.parametrize("how", ["create", "save"])
def test_saving_a_transaction_by_hand_does_the_same(customer, how):
    wallet = ledger.open_wallet(customer.pk)
    if how == "create":
        WalletTransaction.objects.create(wallet=wallet, operation="cr", amount=50)
    else:
        WalletTransaction(wallet=wallet, operation="cr", amount=50).save()
    assert balance(customer) == 50 and announced() == ["walletreward_create"]
    assert wallet.balance == 50
    assert_sound(customer)


def test_a_rollback_leaves_no_trace(customer):
    with pytest.raises(RuntimeError), transaction.atomic():
        services.credit(customer, 50)
        raise RuntimeError
    assert announced() == [] and not WalletTransaction.objects.exists() and not Wallet.objects.exists()


@pytest.mark.parametrize("amount", [0, -1, 1.5, "10", None, True])
def test_an_amount_that_is_no_positive_whole_number_is_a_value_error(customer, amount):
    with pytest.raises(ValueError, match="amount"):
        services.credit(customer, amount)
    with pytest.raises(ValueError, match="amount"):
        WalletTransaction.objects.create(wallet=ledger.open_wallet(customer.pk), operation="cr", amount=amount)
    assert announced() == []


def test_an_overdraft_is_refused_and_changes_nothing(customer):
    services.credit(customer, 30)
    with pytest.raises(services.InsufficientBalance) as error:
        services.debit(customer, 31)
    assert (error.value.balance, error.value.wanted) == (30, 31)
    assert balance(customer) == 30 and announced() == ["walletreward_create"]
    assert_sound(customer)


def test_the_database_itself_refuses_a_balance_below_zero(customer):
    wallet = ledger.open_wallet(customer.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        Wallet.objects.filter(pk=wallet.pk).update(balance=-1)


def test_a_debit_consumes_the_lots_that_expire_first(customer):
    now = timezone.now()
    never = services.credit(customer, 100)
    late = services.credit(customer, 100, expires_at=now + timedelta(days=60))
    soon = services.credit(customer, 100, expires_at=now + timedelta(days=10))
    debit = services.debit(customer, 150)
    left = {row.pk: row.remaining for row in WalletTransaction.objects.filter(operation="cr")}
    assert left == {soon.pk: 0, late.pk: 50, never.pk: 100}
    assert sorted(LotUse.objects.filter(debit=debit).values_list("lot", "amount")) == sorted([(soon.pk, 100), (late.pk, 50)])
    assert_sound(customer)


def test_expired_coins_cannot_be_spent_and_expire_once(customer):
    past = timezone.now() - timedelta(days=1)
    services.credit(customer, 40, "Old", expires_at=past)
    services.credit(customer, 60)
    with pytest.raises(services.InsufficientBalance):
        services.debit(customer, 61)
    services.debit(customer, 50)
    assert balance(customer) == 10 and services.expire_coins(customer) == []
    assert announced() == ["walletreward_create", "walletreward_create", "coins_expired", "coins_redeemed"]
    assert_sound(customer)


def test_expiring_takes_back_only_what_is_left_of_the_lot(customer):
    services.credit(customer, 1000, expires_at=timezone.now() + timedelta(days=1))
    services.debit(customer, 200)
    (expired,) = services.expire_coins(customer, now=timezone.now() + timedelta(days=2), portal="app")
    assert (expired.amount, expired.operation, expired.portal) == (800, "dr", "app")
    assert balance(customer) == 0
    assert_sound(customer)


def test_what_moved_never_changes_but_words_may(customer):
    entry = services.credit(customer, 10, "Typo")
    entry.amount = 99
    with pytest.raises(LedgerError):
        entry.save()
    entry.refresh_from_db()
    entry.title = "Right"
    entry.save()
    assert announced() == ["walletreward_create", "wallettrasaction_update"] and balance(customer) == 10


def test_bulk_verbs_that_would_leave_balances_wrong_are_refused(customer):
    entry = services.credit(customer, 10)
    rows = WalletTransaction.objects.all()
    for verb in (
        lambda: WalletTransaction.objects.bulk_create([WalletTransaction(wallet=entry.wallet, amount=1)]),
        lambda: rows.update(amount=5),
        rows.delete,
        entry.delete,
    ):
        with pytest.raises(LedgerError):
            verb()
    assert balance(customer) == 10


def test_a_naive_expiry_and_an_unknown_portal_are_refused(customer):
    with pytest.raises(ValueError, match="aware"):
        services.credit(customer, 1, expires_at=datetime(2027, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="portal"):
        services.credit(customer, 1, portal="all")


def test_a_coupon_is_announced_with_its_properties(customer):
    expires_at = datetime(2026, 12, 31, tzinfo=UTC)
    services.create_coupon(customer, "THANKS10", "percent", "10.00", 500, expires_at, portal="app")
    delivery = EventDelivery.objects.get()
    assert delivery.trigger == "coupon_create" and delivery.portal == "app"
    wanted = {"coupon_code": "THANKS10", "coupon_value_class": "percent", "coupon_value": 10, "minimum_cart_amount": 500}
    wanted |= {"coupon_expires_at": "2026-12-31T00:00:00+00:00", "coupon_status": "issued"}
    assert wanted.items() <= delivery.payload.items()


def test_a_coupon_made_by_hand_is_announced_as_well(customer):
    Coupon.objects.create(customer=customer, code="X", value_class="amount", value="2.50")
    assert EventDelivery.objects.get().payload["coupon_value"] == 2.5


def test_a_coupon_is_redeemed_once(customer):
    coupon = services.create_coupon(customer, "X", "percent", 10)
    services.redeem_coupon(coupon, portal="pos")
    with pytest.raises(ValueError, match="redeemed already"):
        services.redeem_coupon(coupon)
    assert announced() == ["coupon_create", "coupon_update", "coupon_redeemed"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("", "percent", 10),
        ("X", "weird", 10),
        ("X", "percent", 101),
        ("X", "amount", -1),
        ("X", "amount", "ten"),
        ("X", "amount", "NaN"),
    ],
)
def test_an_impossible_coupon_is_refused(customer, wrong):
    with pytest.raises(ValueError, match=r".+"):
        services.create_coupon(customer, *wrong)
    assert announced() == []


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_keep_the_balance_right():
    customer = Customer.objects.create(merchant=make.merchant(), customer_id="c1")
    services.credit(customer, 100)
    refused = []

    def work(number):
        try:
            for _ in range(10):
                person = Customer.objects.get(pk=customer.pk)
                try:
                    services.credit(person, 3) if number % 2 else services.debit(person, 9)
                except services.InsufficientBalance:
                    refused.append(1)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert balance(customer) == 100 + 40 * 3 - (40 - len(refused)) * 9 >= 0
    assert_sound(customer)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(st.tuples(st.sampled_from(["credit", "debit", "expire"]), st.integers(1, 60), st.integers(0, 5)), max_size=12)
)
def test_coins_in_are_coins_spent_expired_and_left_at_every_moment(customer, moves):
    with transaction.atomic():
        point = transaction.savepoint()
        clock = timezone.now()
        for verb, amount, days in moves:
            if verb == "credit":
                services.credit(customer, amount, expires_at=clock + timedelta(days=days) if days else None)
            elif verb == "debit" and amount <= ledger.open_wallet(customer.pk).balance:
                services.debit(customer, amount)
            elif verb == "expire":
                services.expire_coins(customer, now=clock + timedelta(days=days))
            ledger.open_wallet(customer.pk)
            assert_sound(customer)
        transaction.savepoint_rollback(point)


def test_neither_a_taken_key_nor_a_stale_wallet_bends_a_balance(customer):
    entry = services.credit(customer, 10)
    stale = Wallet.objects.get(customer=customer)
    with pytest.raises(IntegrityError), transaction.atomic():
        WalletTransaction(pk=entry.pk, wallet=entry.wallet, amount=50).save()
    services.credit(customer, 5)
    stale.save()
    assert balance(customer) == 15
    assert_sound(customer)


@pytest.mark.parametrize("wrong", [{"amount": 10**30}, {"amount": 1, "title": "x" * 201}, {"amount": 1, "portal": "nonsense"}])
def test_what_a_database_could_not_keep_is_a_value_error_on_both(customer, wrong):
    with pytest.raises(ValueError, match=r"must"):
        WalletTransaction.objects.create(wallet=ledger.open_wallet(customer.pk), operation="cr", **wrong)


def test_a_coupons_value_is_announced_as_it_is_stored_and_a_monstrous_one_is_refused(customer):
    coupon = services.create_coupon(customer, "X", "amount", "1.239")
    assert EventDelivery.objects.get().payload["coupon_value"] == float(Coupon.objects.get(pk=coupon.pk).value) == 1.24
    with pytest.raises(ValueError, match="value"):
        services.create_coupon(customer, "Y", "amount", "1e300")
