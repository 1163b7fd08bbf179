"""What customers did after they were reached: each measure on a few rows, counted by hand, at the edges of the window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from events.holdout import is_held_out
from events.host import Exposure, Outcome
from events.models import EventDelivery
from events.worth import report
from nectorbridge.loyalty import outcomes, reminders, services
from nectorbridge.loyalty.announcements import friend_ref
from nectorbridge.loyalty.host import LoyaltyHost
from nectorbridge.loyalty.models import ConsentChange, Coupon, Customer, Order, Referral, Review, WalletTransaction
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
START = datetime(2026, 7, 1, 6, 30, tzinfo=UTC)
DAY, SECOND, MOMENT = timedelta(days=1), timedelta(seconds=1), timedelta(microseconds=1)
WEEK = 7 * DAY
COINS = "coinexpirynotify_create"
host = LoyaltyHost()


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr("events.identifiers._last", 0)  # ids grow; those of this test are of its own time
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def person(shop, number=1, **values) -> Customer:
    return Customer.objects.create(**{"merchant": shop, "customer_id": f"c{number}", "email": f"p{number}@example.com", **values})


def asked(*customers, trigger="walletreward_create", **values):
    """Ask what these customers did in the week from the start."""
    exposures = [Exposure(getattr(who, "ref", who), START, START + WEEK, **values) for who in customers]
    return host.outcomes(customers[0].merchant_id, trigger, exposures)


def did(customer, **values) -> Outcome:
    return asked(customer, **values)[customer.ref]


def order(customer, after, total="100", **values) -> Order:
    number = f"o{Order.objects.count()}"
    return services.place_order(customer, number, total, placed_at=START + after, **values)


# --- Orders ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("after", "counts"), [(-SECOND, False), (timedelta(0), False), (MOMENT, True), (WEEK, True), (WEEK + MOMENT, False)]
)
def test_an_order_counts_after_the_message_and_until_the_window_is_over(customer, after, counts):
    order(customer, after)
    assert did(customer) == Outcome(has_ordered=counts, revenue=Decimal(100 * counts))


def test_revenue_is_net_of_refunds_whenever_they_were_made_and_in_the_merchants_currency(customer):
    services.refund_order(order(customer, DAY, "100.50"), "40.25")
    order(customer, 2 * DAY, "10")
    order(customer, DAY, "500", currency="EUR")
    Order.objects.filter(pk=order(customer, DAY, "7").pk).update(currency="")
    found = did(customer)
    assert (found.has_ordered, found.revenue) == (True, Decimal("77.25"))


def test_what_was_cancelled_or_fully_refunded_was_not_bought(customer):
    services.refund_order(order(customer, DAY))
    Order.objects.filter(pk=order(customer, DAY).pk).update(status="cancelled")
    assert did(customer) == Outcome()


# --- Coupons, consent, reviews, referrals ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("after", "counts"), [(timedelta(0), False), (DAY, True), (WEEK, True), (WEEK + SECOND, False)])
def test_a_coupon_counts_when_it_was_used(customer, clock, after, counts):
    clock.move_to(START - DAY)
    coupon = services.create_coupon(customer, "THANKS", "percent", 10)
    services.create_coupon(customer, "UNUSED", "percent", 10)
    clock.move_to(START + after)
    services.redeem_coupon(coupon)
    assert did(customer).has_used_coupon is counts


def test_a_used_coupon_that_is_changed_later_was_used_when_it_was(customer, clock):
    coupon = services.create_coupon(customer, "THANKS", "percent", 10)
    clock.move_to(START + DAY)
    coupon = services.redeem_coupon(coupon)
    clock.move_to(START + 2 * WEEK)
    coupon.portal = "pos"
    coupon.save()
    assert Coupon.objects.get().redeemed_at == START + DAY
    assert did(customer).has_used_coupon


def test_a_coupon_saved_as_used_was_used_now_and_one_that_is_not_never(customer, clock):
    coupon = services.create_coupon(customer, "THANKS", "percent", 10)
    coupon.status = "redeemed"
    coupon.save(update_fields=["status"])
    assert Coupon.objects.get().redeemed_at == START
    coupon.status = "cancelled"
    coupon.save()
    assert Coupon.objects.get().redeemed_at is None


def test_an_order_that_names_a_coupon_is_a_use_of_it_unless_it_was_cancelled(customer):
    row = order(customer, DAY, coupon_code="THANKS")
    assert did(customer).has_used_coupon
    Order.objects.filter(pk=row.pk).update(status="cancelled")
    assert not did(customer).has_used_coupon


@pytest.mark.parametrize(("after", "counts"), [(timedelta(0), False), (DAY, True), (WEEK, True), (WEEK + SECOND, False)])
def test_a_no_counts_when_it_was_said(customer, after, counts):
    services.set_consent(customer, "email", "unsubscribed", "form", START + after)
    assert did(customer).has_opted_out is counts


def test_a_no_that_was_said_before_or_changed_nothing_is_no_opt_out(customer):
    services.set_consent(customer, "sms", "unsubscribed", "form", START - DAY)
    services.set_consent(customer, "sms", "unsubscribed", "form", START + DAY)
    services.set_consent(customer, "email", "subscribed", "form", START + 2 * DAY)
    services.set_consent(customer, "email", "unsubscribed", "late", START + DAY)
    assert ConsentChange.objects.count() == 4
    assert not did(customer).has_opted_out


@pytest.mark.parametrize(("after", "counts"), [(timedelta(0), False), (WEEK, True), (WEEK + SECOND, False)])
def test_a_review_counts_when_it_was_written(customer, clock, after, counts):
    clock.move_to(START - DAY)
    review = services.request_review(customer, product_name="Shirt")
    clock.move_to(START + after)
    services.submit_review(review, 5)
    assert Review.objects.count() == 1
    assert did(customer).has_written_review is counts


@pytest.mark.parametrize(("after", "counts"), [(timedelta(0), False), (WEEK, True), (WEEK + SECOND, False)])
def test_a_referral_counts_for_both_when_it_was_completed(shop, customer, after, counts):
    friend, other = person(shop, 2), person(shop, 3)
    Referral.objects.create(customer=customer, friend=friend, status="completed", completed_at=START + after)
    Referral.objects.create(customer=other, friend_email="x@example.com")
    found = asked(customer, friend, other)
    assert [found[who.ref].has_completed_referral for who in (customer, friend, other)] == [counts, counts, False]


def test_of_a_friend_who_is_no_customer_yet_the_referral_tells(shop, customer):
    rows = [
        Referral.objects.create(customer=customer, friend_email="A@example.com", status="completed", completed_at=START + DAY),
        Referral.objects.create(customer=customer, friend_email="b@example.com"),
    ]
    refs = [friend_ref(shop.pk, row.friend_email, "") for row in rows]
    trigger = "incompletereferralrequest_create"
    exposures = [Exposure(ref, START, START + WEEK, f"{trigger}:{row.pk}:1:5") for ref, row in zip(refs, rows, strict=True)]
    strangers = [Exposure("friend:of-nobody", START, START + WEEK, f"{trigger}:{rows[0].pk}:1:5")]
    assert host.outcomes(shop.pk, trigger, strangers) == {}
    found = host.outcomes(shop.pk, trigger, exposures)
    assert found == {refs[0]: Outcome(has_completed_referral=True), refs[1]: Outcome()}
    assert host.outcomes(shop.pk, "lead_create", exposures) == {}


# --- Coins that were about to expire ---------------------------------------------------------------------------------------
def lot(customer, amount, expires_after) -> WalletTransaction:
    return services.credit(customer, amount, expires_at=START + expires_after)


def reminded(customer, row, coins, ends_after=5 * DAY):
    key = f"{COINS}:{row.pk}:30:1" if row else f"{COINS}:receipt-7"
    return did(customer, trigger=COINS, key=key, coins=coins, ends_at=START + ends_after)


def test_coins_of_the_lot_that_was_named_count_and_no_others(customer, clock):
    clock.move_to(START - DAY)
    first, second = lot(customer, 100, 5 * DAY), lot(customer, 50, 6 * DAY)
    services.debit(customer, 10)  # before the reminder
    clock.move_to(START + DAY)
    services.debit(customer, 30)
    clock.move_to(START + 2 * DAY)
    services.debit(customer, 80)  # 60 of the first, 20 of the second
    assert reminded(customer, first, 90).coins_spent == 90
    assert reminded(customer, second, 50, 6 * DAY).coins_spent == 20
    assert did(customer, key=f"{COINS}:{first.pk}:30:1", coins=90).coins_spent == 0, "of other triggers it is not asked"


def test_what_expired_was_not_saved_and_what_was_spent_too_late_neither(customer, clock):
    clock.move_to(START - DAY)
    row, lasting = lot(customer, 100, 5 * DAY), services.credit(customer, 100)
    clock.move_to(START + DAY)
    services.debit(customer, 25)
    clock.move_to(START + 5 * DAY + SECOND)
    assert [entry.amount for entry in services.expire_coins(customer)] == [75]
    services.debit(customer, 40)
    assert reminded(customer, row, 100).coins_spent == 25
    assert reminded(customer, lasting, 100, 30 * DAY).coins_spent == 40
    assert reminded(customer, lasting, 100, 5 * DAY).coins_spent == 0


def test_spent_at_the_reminder_or_after_the_window_does_not_count(customer, clock):
    clock.move_to(START - DAY)
    row = lot(customer, 100, 20 * DAY)
    for after in (timedelta(0), WEEK, WEEK + SECOND):
        clock.move_to(START + after)
        services.debit(customer, 10)
    assert reminded(customer, row, 100, 20 * DAY).coins_spent == 10


def test_of_a_reminder_by_nector_what_was_spent_counts_up_to_what_it_named(customer, clock):
    clock.move_to(START - DAY)
    lot(customer, 500, 20 * DAY)
    clock.move_to(START + DAY)
    services.debit(customer, 70)
    clock.move_to(START + 6 * DAY)
    services.debit(customer, 200)  # after they expired
    assert reminded(customer, None, 60).coins_spent == 60
    assert reminded(customer, None, 90).coins_spent == 70


def test_somebody_elses_lot_is_nobodys(shop, customer, clock):
    other = person(shop, 2)
    row = lot(other, 100, 5 * DAY)
    clock.move_to(START + DAY)
    services.debit(other, 50)
    assert reminded(customer, row, 100).coins_spent == 0


# --- Many, and others' -----------------------------------------------------------------------------------------------------
def test_each_has_their_own_time_and_many_cost_no_statement_more(shop):
    people = [person(shop, number) for number in range(12)]
    for who in people:
        order(who, 3 * DAY)
    exposures = [Exposure(who.ref, START + number * DAY, START + (number + 1) * DAY) for number, who in enumerate(people)]

    def count(some):
        with CaptureQueriesContext(connection) as seen:
            found = outcomes.of(shop.pk, "walletreward_create", some)
        return [ref for ref, outcome in found.items() if outcome.has_ordered], len(seen)

    mine, many = count(exposures)
    assert mine == [people[2].ref]
    assert many == count(exposures[:1])[1] == 9


def test_another_merchants_customers_and_nobody_are_left_out(shop, customer):
    other = person(make.merchant("elsewhere"), 2)
    assert set(asked(customer, other, "", "0", "friend:x", "9" * 30, "²")) == {customer.ref}
    assert host.outcomes(shop.pk, COINS, []) == {}


def test_who_was_merged_is_known_by_the_former_reference(shop, customer):
    other, third = person(shop, 2), person(make.merchant("elsewhere"), 3)
    former = other.ref
    services.merge_customers(customer, other)
    assert host.resolve_refs(shop.pk, [former, customer.ref, "x"]) == {former: customer.ref, customer.ref: customer.ref, "x": "x"}
    assert host.resolve_refs(third.merchant_id, [former]) == {former: former} and host.resolve_refs(shop.pk, []) == {}


# --- The whole way ---------------------------------------------------------------------------------------------------------
def test_a_merged_customer_who_was_reached_twice_counts_once_with_everything_they_bought(shop, customer, clock):
    definition = make.definition(make.integration(shop), trigger="coupon_create", name="Coupon")
    other = person(shop, 2)
    for who, after in ((customer, DAY), (other, timedelta(0))):
        clock.move_to(START + after)
        services.create_coupon(who, f"C{who.pk}", "percent", 10)
    EventDelivery.objects.update(status="sent", next_attempt_at=None)
    for row in EventDelivery.objects.all():
        EventDelivery.objects.filter(pk=row.pk).update(sent_at=row.created_at)
    order(customer, 2 * DAY, "30")
    order(other, DAY, "12")
    services.merge_customers(customer, other)
    found = report(definition, START - DAY, START + 2 * DAY, WEEK, START + 30 * DAY)
    assert (found.exposed.size, found.exposed.hits["ordered"], found.exposed.revenue) == (1, 1, 42)


def test_scheduled_reminders_hold_out_the_same_customers_and_their_coins_are_compared(shop, clock, monkeypatch):
    monkeypatch.setattr("nectorbridge.loyalty.reminders.ask", lambda task, pk: True)
    definition = make.definition(
        make.integration(shop), trigger=COINS, name="Expiring", lead_days="3", remind_hour=10, holdout_percent=50
    )
    people = [person(shop, number, customer_id=f"n{number}") for number in range(12)]
    for who in people:
        lot(who, 100, 5 * DAY)
    for hours in range(0, 72, 6):
        clock.move_to(START + timedelta(hours=hours))
        reminders.look(definition.pk)
    out = {who.ref for who in people if is_held_out(definition.pk, who.ref, 50)}
    held = EventDelivery.objects.filter(reason="holdout")
    assert {row.customer_ref for row in held} == out and 0 < len(out) < 12
    assert EventDelivery.objects.exclude(reason="holdout").count() == 12 - len(out)
    moment = held[0].created_at
    EventDelivery.objects.filter(status="queued").update(status="sent", sent_at=moment)
    clock.move_to(moment + DAY)
    for who in people:
        services.debit(who, 10 if who.ref in out else 40)
    found = report(definition, START - DAY, START + 4 * DAY, DAY, START + 30 * DAY)
    assert (found.exposed.coins_named, found.exposed.coins_spent) == (100 * (12 - len(out)), 40 * (12 - len(out)))
    assert (found.held_out.coins_named, found.held_out.coins_spent) == (100 * len(out), 10 * len(out))
