"""What time creates: the right amount on the right day, never after redemption, never twice, also after a day's outage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import responses
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import schedules
from events.drain import drain
from events.models import EventDefinition, EventDelivery
from events.triggers import CATALOGUE
from nectorbridge.loyalty import ledger, reminders, services
from nectorbridge.loyalty.models import Customer, Wallet, WalletTransaction
from nectorbridge.loyalty.reminder_rules import RULES
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
KOLKATA, BERLIN = ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/Berlin")
START = datetime(2026, 7, 1, 6, 30, tzinfo=UTC)  # 12:00 in Kolkata, where reminders go out at 10:00


@pytest.fixture
def clock():
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def asked(monkeypatch):
    found = []
    monkeypatch.setattr("nectorbridge.loyalty.reminders.ask", lambda task, pk: found.append(pk) or True)
    return found


def event(shop, trigger, **values):
    integration = shop.integrations.first() or make.integration(shop)
    return make.definition(integration, trigger=trigger, name=f"{trigger} {EventDefinition.objects.count()}", **values)


def at(day, hour=10, minute=0):
    """Return a moment of July on Kolkata's clock."""
    return datetime(2026, 7, day, hour, minute, tzinfo=KOLKATA)


def look():
    """Do what a worker does twice a minute."""
    for definition in schedules.scheduled(RULES):
        reminders.look(definition.pk)


def live(clock, until, step=timedelta(hours=2)):
    """Let time pass, and look all the while."""
    moment = datetime.now(UTC)
    while moment < until:
        moment = min(until, moment + step)
        clock.move_to(moment)
        look()


def told(trigger="coinexpirynotify_create"):
    """Return what was recorded: when on Kolkata's clock, and what it says."""
    rows = EventDelivery.objects.filter(trigger=trigger).order_by("created_at", "id")
    return [(row.created_at.astimezone(KOLKATA).strftime("%d %H:%M"), row.payload) for row in rows]


# --- Expiry ------------------------------------------------------------------------------------------------------------------
def test_each_lot_is_announced_at_its_own_lead_times_with_its_own_amount(clock, shop, customer):
    event(shop, "coinexpirynotify_create", lead_days="7, 1")
    services.credit(customer, 100, expires_at=at(12, 23, 59))
    services.credit(customer, 40, expires_at=at(15, 0, 30))
    services.credit(customer, 999)  # never expire
    live(clock, at(20))
    assert [(when, said["coins"], said["days_left"]) for when, said in told()] == [
        ("05 10:00", 100, 7),
        ("08 10:00", 40, 7),
        ("11 10:00", 100, 1),
        ("14 10:00", 40, 1),
    ]
    assert {said["expires_at"] for _when, said in told()[:1]} == {at(12, 23, 59).astimezone(UTC).isoformat()}


def test_two_lots_that_expire_on_one_day_are_two_reminders(clock, shop, customer):
    event(shop, "coinexpirynotify_create", lead_days="7")
    for amount in (30, 30):
        services.credit(customer, amount, expires_at=at(12))
    live(clock, at(6))
    assert [said["coins"] for _when, said in told()] == [30, 30]


def test_what_is_left_of_a_lot_is_what_is_said(clock, shop, customer):
    event(shop, "coinexpirynotify_create", lead_days="7, 1")
    services.credit(customer, 100, expires_at=at(12))
    live(clock, at(6))
    services.debit(customer, 70)
    live(clock, at(12))
    assert [said["coins"] for _when, said in told()] == [100, 30]


def test_after_redemption_nobody_is_warned_not_even_of_what_waits_already(clock, shop, customer):
    definition = event(shop, "coinexpirynotify_create", lead_days="7, 1")
    services.credit(customer, 100, expires_at=at(12))
    live(clock, at(5))
    services.debit(customer, 100)
    with responses.RequestsMock():  # nothing leaves
        drain(definition.integration_id)
    row = EventDelivery.objects.get()
    assert (row.status, row.reason) == ("skipped", "stale") and "spent" in row.detail
    live(clock, at(13))
    assert len(told()) == 1


def test_only_this_event_gets_its_reminders_and_each_has_its_own_hour(clock, shop, customer):
    event(shop, "coinexpirynotify_create", lead_days="7", remind_hour=9)
    event(shop, "coinexpirynotify_create", lead_days="7, 2", remind_hour=18)
    services.credit(customer, 100, expires_at=at(12))
    live(clock, at(11, 23), timedelta(hours=3))
    assert [when for when, _said in told()] == ["05 09:00", "05 18:00", "10 18:00"]


def test_a_day_without_a_scheduler_is_caught_up_and_of_two_reminders_the_later_one_counts(clock, shop, customer):
    event(shop, "coinexpirynotify_create", lead_days="7, 2, 1")
    services.credit(customer, 100, expires_at=at(12))
    live(clock, at(4))
    clock.move_to(at(6, 11))  # nobody looked for two days
    look()
    assert [(when, said["days_left"]) for when, said in told()] == [("06 11:00", 6)]
    clock.move_to(at(11, 11))  # and for five more
    look()
    assert [(when, said["days_left"]) for when, said in told()][1:] == [("11 11:00", 1)], "not two at once"


def test_a_month_without_a_scheduler_is_no_flood(clock, shop, customer):
    event(shop, "coinexpirynotify_create", lead_days="30")
    for day in range(1, 29):
        services.credit(customer, day, expires_at=datetime(2026, 8, day, 12, tzinfo=KOLKATA))
    look()
    clock.move_to(at(29, 11))
    look()
    assert [said["coins"] for _when, said in told()] == [27, 28], "those of the last two days"


def test_a_new_event_does_not_tell_what_lies_before_it(clock, shop, customer):
    services.credit(customer, 100, expires_at=at(8))
    services.credit(customer, 50, expires_at=at(9))
    event(shop, "coinexpirynotify_create", lead_days="7")  # on the first at noon: the hour of the 8th's lot has passed
    live(clock, at(3))
    assert [said["coins"] for _when, said in told()] == [50]


def test_whatever_restarts_and_clocks_do_a_lot_is_announced_once(clock, shop, customer):
    event(shop, "coinexpirynotify_create", lead_days="7")
    services.credit(customer, 100, expires_at=at(12))
    live(clock, at(5, 11))
    for moment in (at(5, 9), at(6), at(4), at(5, 10), at(7)):
        clock.move_to(moment)
        EventDefinition.objects.update(reminded_until=None, created_at=moment - timedelta(days=3))  # all that it knew is lost
        look()
    assert len(told()) == 1


@pytest.mark.parametrize(
    ("day", "moment"),
    [(datetime(2026, 3, 30, tzinfo=BERLIN), "2026-03-29T08:00"), (datetime(2026, 10, 26, tzinfo=BERLIN), "2026-10-25T09:00")],
)
def test_on_the_day_on_which_clocks_change_the_hour_is_the_merchants(clock, shop, customer, day, moment):
    shop.timezone = "Europe/Berlin"
    shop.save()
    clock.move_to(day - timedelta(days=3))
    event(shop, "coinexpirynotify_create", lead_days="1")
    services.credit(customer, 100, expires_at=day.replace(hour=12))
    live(clock, day, timedelta(minutes=30))
    assert EventDelivery.objects.get().created_at.isoformat() == f"{moment}:00+00:00"


def test_an_event_that_is_off_reminds_of_nothing(clock, shop, customer):
    definition = event(shop, "coinexpirynotify_create", lead_days="7")
    services.credit(customer, 100, expires_at=at(12))
    EventDefinition.objects.update(enabled=False)
    live(clock, at(6))
    assert reminders.look(definition.pk) == 0 and not told()


def test_another_merchants_coins_are_theirs(clock, shop, customer):
    event(shop, "coinexpirynotify_create", lead_days="7")
    theirs = Customer.objects.create(merchant=make.merchant("other"), customer_id="x")
    services.credit(theirs, 100, expires_at=at(12))
    live(clock, at(6))
    assert not told()


# --- Many, and interrupted -----------------------------------------------------------------------------------------------------
@pytest.fixture
def many(shop):
    """Lots that end on the same day, and some that do not."""
    people = [Customer.objects.create(merchant=shop, customer_id=f"p{n}") for n in range(7)]
    for number, person in enumerate(people):
        services.credit(person, number + 1, expires_at=at(12, number))
        services.credit(person, 500, expires_at=at(25))
    return people


def test_a_look_that_ended_anywhere_goes_on_there(clock, many, shop, monkeypatch, asked):
    definition = event(shop, "coinexpirynotify_create", lead_days="7")
    monkeypatch.setattr("nectorbridge.loyalty.reminders.ROWS_AT_A_TIME", 2)
    clock.move_to(at(5, 11))
    assert reminders.look(definition.pk, seconds=0) == 0 and asked == [definition.pk], "no time left: somebody goes on"
    parts = 0
    while schedules.is_due(EventDefinition.objects.get(), True):
        clock.shift(60)
        assert reminders._look_at_a_part(definition.pk) is not None
        parts += 1
    assert parts == 4 and sorted(said["coins"] for _when, said in told()) == [1, 2, 3, 4, 5, 6, 7]
    assert EventDefinition.objects.get().reminded_until == at(5, 11, 1), "until when it had begun"


def test_what_breaks_in_the_middle_loses_and_doubles_nothing(clock, many, shop, monkeypatch):
    definition = event(shop, "coinexpirynotify_create", lead_days="7")
    monkeypatch.setattr("nectorbridge.loyalty.reminders.ROWS_AT_A_TIME", 2)
    clock.move_to(at(5, 11))
    note, calls = reminders._note, []

    def breaks(*args):
        calls.append(args)
        if len(calls) == 2:
            raise RuntimeError("killed")
        note(*args)

    monkeypatch.setattr("nectorbridge.loyalty.reminders._note", breaks)
    with pytest.raises(RuntimeError):
        reminders.look(definition.pk)
    assert len(told()) == 2
    look()
    assert sorted(said["coins"] for _when, said in told()) == [1, 2, 3, 4, 5, 6, 7]


def test_a_part_takes_a_handful_of_statements_however_many_rows_it_has(clock, many, shop):
    definition = event(shop, "coinexpirynotify_create", lead_days="7")
    clock.move_to(at(5, 11))
    with CaptureQueriesContext(
        connection,
    ) as few:
        reminders.look(definition.pk)
    assert len(told()) == 7 and len(few) < 25


def test_who_has_something_due_is_rung_for_and_nobody_else(clock, shop, customer, asked):
    definition = event(shop, "coinexpirynotify_create", lead_days="7")
    event(shop, "walletreward_create")
    clock.move_to(at(2, 9, 59))
    look()
    assert reminders.ring_for_due() == 0
    clock.move_to(at(3, 9, 59))
    look()
    clock.move_to(at(3, 10))
    assert reminders.ring_for_due() == 1 and asked == [definition.pk]


# --- What lies unused ----------------------------------------------------------------------------------------------------------
def test_an_unused_coupon_is_named_so_often_and_no_more(clock, shop, customer):
    event(shop, "unusedcouponrequest_create", wait_days=2, most_reminders=3, gap_days=3)
    used = services.create_coupon(customer, "USED", "percent", 10)
    services.create_coupon(customer, "GIFT", "percent", 10)
    live(clock, at(4))
    services.redeem_coupon(used)
    live(clock, at(20))
    said = [(when, body["coupon_code"], body["reminder_number"]) for when, body in told("unusedcouponrequest_create")]
    assert said == [
        ("03 10:00", "USED", 1),
        ("03 10:00", "GIFT", 1),
        ("06 10:00", "GIFT", 2),
        ("09 10:00", "GIFT", 3),
    ]


def test_a_coupon_about_to_expire(clock, shop, customer):
    event(shop, "coupon_expiring", lead_days="3")
    services.create_coupon(customer, "GIFT", "percent", 10, expires_at=at(9, 20))
    live(clock, at(8))
    assert [(when, body["coupon_code"], body["days_left"]) for when, body in told("coupon_expiring")] == [("06 10:00", "GIFT", 3)]


def test_coins_that_lie_unused_count_from_their_last_move(clock, shop, customer):
    event(shop, "unusedwalletcoinrequest_create", wait_days=5, most_reminders=2, gap_days=5, minimum_coins=50)
    poor = Customer.objects.create(merchant=shop, customer_id="c2")
    services.credit(poor, 49)
    services.credit(customer, 100)
    live(clock, at(4))
    services.debit(customer, 20)
    live(clock, at(25))
    said = [(when, body["coins"], body["days_unused"]) for when, body in told("unusedwalletcoinrequest_create")]
    assert said == [("09 10:00", 80, 5), ("14 10:00", 80, 10)]


def test_coins_that_move_before_the_reminder_leaves_are_not_named(clock, shop, customer):
    definition = event(shop, "unusedwalletcoinrequest_create", wait_days=1)
    services.credit(customer, 100)
    live(clock, at(2))
    clock.shift(60)
    services.credit(customer, 1)
    with responses.RequestsMock():
        drain(definition.integration_id)
    assert EventDelivery.objects.get(trigger=definition.trigger).reason == "stale"


def test_a_friend_is_reminded_until_the_referral_is_completed(clock, shop, customer):
    definition = event(shop, "incompletereferralrequest_create", wait_days=1, most_reminders=5, gap_days=1)
    referral = services.start_referral(customer, friend_email="ravi@example.com", friend_name="Ravi")
    live(clock, at(3))
    services.complete_referral(referral)
    live(clock, at(9))
    rows = EventDelivery.objects.filter(trigger=definition.trigger).order_by("id")
    assert [(row.recipient["email"], row.payload["reminder_number"]) for row in rows] == [("ravi@example.com", n) for n in (1, 2)]
    with responses.RequestsMock():
        drain(definition.integration_id)
    assert {row.reason for row in rows.all()} <= {"stale", "no_identity"}


def test_a_review_is_asked_for_at_once_and_again_until_it_is_written(clock, shop, customer):
    event(shop, "reviewrequest_create", wait_days=3, most_reminders=2, gap_days=4)
    review = services.request_review(customer, product_name="Linen shirt")
    live(clock, at(5))
    services.submit_review(review, 5, "Fits well.")
    live(clock, at(15))
    said = [(when, body.get("reminder_number")) for when, body in told("reviewrequest_create")]
    assert said == [("01 12:00", None), ("04 10:00", 1)]


def test_the_catalogue_names_what_time_creates_and_the_properties_that_are_sent(clock, shop, customer):
    assert {key for key, trigger in CATALOGUE.items() if trigger.timing} == set(RULES)
    assert {key for key, trigger in CATALOGUE.items() if trigger.timing == "lead"} == {
        k for k, rule in RULES.items() if rule.is_lead
    }
    for trigger in RULES:
        event(shop, trigger, lead_days="3", wait_days=1, most_reminders=1)
    services.credit(customer, 100, expires_at=at(6))
    services.create_coupon(customer, "GIFT", "percent", 10, minimum_cart_amount=5, expires_at=at(6))
    services.start_referral(customer, friend_email="ravi@example.com", friend_name="Ravi")
    services.request_review(customer, product_id="8", product_name="Linen shirt")
    live(clock, at(4))
    for trigger in RULES:
        names = {name for name in told(trigger)[-1][1] if not name.startswith(("nector_", "business_", "user_"))}
        assert names <= set(CATALOGUE[trigger].properties) | {"reminder_number"}, trigger


# --- Expired -------------------------------------------------------------------------------------------------------------------
def test_coins_whose_time_is_over_are_taken_back_and_told(clock, shop, customer):
    event(shop, "coins_expired")
    services.credit(customer, 100, expires_at=at(3))
    services.credit(customer, 40)
    clock.move_to(at(3))
    assert reminders.expire_coins(seconds=60) == 1 and reminders.expire_coins(seconds=60) == 0
    assert Wallet.objects.get().balance == 40 and [said["coins"] for _when, said in told("coins_expired")] == [100]


def test_what_mirrors_nectors_ledger_nector_takes_back(clock, shop, customer):
    services.credit(customer, 100, expires_at=at(3))
    Wallet.objects.update(mirrored_at=at(1))
    clock.move_to(at(4))
    assert reminders.expire_coins(seconds=60) == 0 and Wallet.objects.get().balance == 100


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("credit"), st.integers(1, 200), st.one_of(st.none(), st.integers(1, 20))),
        st.tuples(st.just("debit"), st.integers(1, 300), st.none()),
        st.tuples(st.just("wait"), st.integers(1, 240), st.none()),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_coins_in_are_coins_spent_expired_and_left_at_every_moment_and_each_lot_is_announced_once(shop, steps):
    """Lots, spending and time in any order: sums are right, nobody is warned twice, or of coins that are gone."""
    EventDelivery.objects.all().delete()
    EventDefinition.objects.all().delete()
    person = Customer.objects.create(merchant=shop, customer_id=f"p{Customer.objects.count()}")
    with time_machine.travel(START, tick=False) as clock:
        event(shop, "coinexpirynotify_create", lead_days="7, 1")
        for what, amount, days in steps:
            if what == "credit":
                ends = None if days is None else datetime.now(UTC) + timedelta(days=days, hours=amount % 24)
                services.credit(person, amount, expires_at=ends)
            elif what == "debit":
                try:
                    services.debit(person, amount)
                except services.InsufficientBalance as error:
                    assert error.balance < amount
            else:
                live(clock, datetime.now(UTC) + timedelta(hours=amount), timedelta(hours=6))
                reminders.expire_coins(seconds=60)
            _sums_are_right(person)
        warned = [tuple(key.split(":")[2:4]) for key in EventDelivery.objects.values_list("idempotency_key", flat=True)]
        assert len(warned) == len(set(warned)), "never twice for the same lot and lead time"
        for row in EventDelivery.objects.all():
            lot = WalletTransaction.objects.get(pk=row.idempotency_key.split(":")[2])
            assert lot.expires_at and row.created_at < lot.expires_at and 0 < row.payload["coins"] <= lot.amount
            left = (lot.expires_at.astimezone(KOLKATA).date() - row.created_at.astimezone(KOLKATA).date()).days
            assert row.payload["days_left"] == left


def _sums_are_right(person):
    """Coins in = spent + expired + balance, and what the lots have left is the balance."""
    wallet = Wallet.objects.filter(customer=person).first()
    if wallet is None:
        return
    rows = list(WalletTransaction.objects.filter(wallet=wallet))
    earned = sum(row.amount for row in rows if row.operation == "cr")
    spent = sum(row.amount for row in rows if row.operation == "dr" and row.kind != "expiry")
    expired = sum(row.amount for row in rows if row.kind == "expiry")
    assert earned == spent + expired + wallet.balance
    assert sum(row.remaining for row in rows) == wallet.balance >= 0
    assert not ledger.unbalanced().filter(pk=wallet.pk).exists()
