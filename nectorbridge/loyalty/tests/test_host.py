"""The ledger as the outbox asks it: found by what people type, read in one statement, changes in their order."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.host import get_host
from integrations.providers.base import LOYALTY_ATTRIBUTES
from nectorbridge.loyalty import changes, ledger, services
from nectorbridge.loyalty.host import LoyaltyHost, referral_link
from nectorbridge.loyalty.models import Customer, Wallet, WalletTransaction
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
host = LoyaltyHost()


@pytest.fixture
def elsewhere():
    return make.merchant("elsewhere")


def person(merchant, number=1, **values) -> Customer:
    defaults = {"customer_id": f"c{number}", "email": f"p{number}@example.com", "phone": f"+9198765{number:05d}"}
    return Customer.objects.create(merchant=merchant, **{**defaults, "name": f"Person {number}", **values})


def refs(profiles) -> list[str]:
    return [profile.ref for profile in profiles]


def attributes(customer) -> dict:
    (profile,) = host.profiles(customer.merchant_id, [customer.ref])
    return dict(profile.attributes)


def quiet(*customers, since=HOUR) -> None:
    """Have these customers last changed an hour ago."""
    for customer in customers:
        Customer.objects.filter(pk=customer.pk).update(changed_at=timezone.now() - since)
        Wallet.objects.filter(customer=customer).update(changed_at=timezone.now() - since)


def test_it_is_the_projects_host():
    assert isinstance(get_host(), LoyaltyHost)


@pytest.mark.parametrize("query", ["asha@example.com", " ASHA@Example.com ", "c77", "+919876500077", "919876500077"])
def test_an_exact_match_comes_first(shop, query):
    longer = person(shop, 1, email="asha@example.com.au", customer_id="c777", phone="+9198765000771")
    asha = person(shop, 2, email="Asha@Example.com", customer_id="c77", phone="+919876500077")
    assert refs(host.search_customers(shop.pk, query)) == [asha.ref, longer.ref]


@pytest.mark.parametrize("query", ["as", "AS", "+9198", "9198", "C-9", "Rao", "rao "])
def test_the_beginning_of_email_phone_id_or_name_is_enough(shop, query):
    found = person(shop, email="ASHA@example.com", customer_id="c-9", phone="+919876543210", name="Rao, Asha")
    person(shop, 2, email="x@example.com", customer_id="z", phone="", name="Has Rao and as inside")
    assert refs(host.search_customers(shop.pk, query)) == [found.ref]


@pytest.mark.parametrize("query", ["", "  ", "%", "_", "\x00", "nobody", "example.com"])
def test_nothing_is_found_for_nothing(shop, query):
    person(shop)
    assert host.search_customers(shop.pk, query) == []


def test_a_search_is_limited_and_stays_with_its_merchant(shop, elsewhere, django_assert_num_queries):
    mine = [person(shop, number) for number in range(6)]
    person(elsewhere, 1)
    with django_assert_num_queries(2):
        found = host.search_customers(shop.pk, "p", limit=4)
    assert refs(found) == [customer.ref for customer in mine[:4]]
    assert refs(host.search_customers(shop.pk, "p1@example.com")) == [mine[1].ref]
    assert host.count_customers(shop.pk) == 6 and host.count_customers(elsewhere.pk) == 1


def test_pages_follow_the_keys_as_numbers_in_one_statement_each(shop, elsewhere, django_assert_num_queries):
    Customer.objects.bulk_create(Customer(pk=key, merchant=shop, customer_id=str(key)) for key in (9, 10, 99, 100, 101))
    Customer.objects.create(pk=50, merchant=elsewhere, customer_id="theirs")
    pages, after = [], ""
    while page := host.profiles(shop.pk, after=after, limit=2):
        pages.append(refs(page))
        after = page[-1].ref
    assert pages == [["9", "10"], ["99", "100"], ["101"]]
    with django_assert_num_queries(1):
        assert len(host.profiles(shop.pk)) == 5


def test_named_customers_are_read_in_one_statement_and_names_of_nobody_ignored(shop, elsewhere, django_assert_num_queries):
    mine, theirs = [person(shop, number) for number in range(3)], person(elsewhere, 9)
    for customer in mine:
        services.credit(customer, 10, expires_at=timezone.now() + HOUR)
    garbage = ["", "x", "-1", "1.5", "٣", "9" * 30, str(2**63), "0", None, theirs.ref]
    with django_assert_num_queries(1):
        found = host.profiles(shop.pk, [*garbage, mine[2].ref, mine[0].ref, mine[0].ref])
    assert refs(found) == [mine[0].ref, mine[2].ref]
    assert found[0].recipient == mine[0].recipient
    with django_assert_num_queries(0):
        assert host.profiles(shop.pk, garbage[:6]) == [] == host.profiles(shop.pk, [])


def test_everything_that_is_known_has_its_name_and_its_time(shop):
    customer = person(shop, tier="Gold", referral_code="ASHA 1")
    soon, later = timezone.now() + HOUR, timezone.now() + 2 * HOUR
    for amount, until in [(10, soon), (5, soon), (100, later), (1000, None)]:
        services.credit(customer, amount, expires_at=until)
    moved_at = Wallet.objects.get(customer=customer).changed_at
    customer.refresh_from_db()
    found = attributes(customer)
    assert found == {
        "nector_coins": 1115,
        "nector_coins_as_of": moved_at,
        "nector_tier": "Gold",
        "nector_tier_as_of": customer.changed_at,
        "nector_referral_code": "ASHA 1",
        "nector_referral_link": "https://shop.example?ref=ASHA%201",
        "nector_referral_as_of": customer.changed_at,
        "nector_next_expiry_coins": 15,
        "nector_next_expiry_at": soon,
        "nector_next_expiry_as_of": moved_at,
    }
    assert found.keys() == LOYALTY_ATTRIBUTES.keys()
    assert attributes(customer) == found, "read again, nothing has changed"


def test_no_coins_is_a_value_and_what_is_not_known_is_absent(shop):
    shop.website = ""
    shop.save()
    customer = person(shop, referral_code="R1")
    found = attributes(customer)
    assert found["nector_coins"] == 0 == found["nector_next_expiry_coins"]
    assert found["nector_coins_as_of"] == found["nector_next_expiry_as_of"] == customer.created_at
    assert not {"nector_tier", "nector_tier_as_of", "nector_referral_link", "nector_next_expiry_at"} & found.keys()
    assert found["nector_referral_code"] == "R1"


def test_a_lot_whose_time_is_over_is_not_the_next_one(shop):
    customer = person(shop)
    past, soon = timezone.now() - HOUR, timezone.now() + HOUR
    services.credit(customer, 7, expires_at=past)
    services.credit(customer, 9, expires_at=soon)
    Wallet.objects.filter(customer=customer).update(changed_at=past - HOUR)
    found = attributes(customer)
    assert (found["nector_next_expiry_coins"], found["nector_next_expiry_at"]) == (9, soon)
    assert found["nector_next_expiry_as_of"] == past, "since then the next lot is the next one"
    services.debit(customer, 9)
    found = attributes(customer)
    assert found["nector_next_expiry_coins"] == 0 and "nector_next_expiry_at" not in found


@pytest.mark.parametrize(
    ("website", "link"),
    [("https://a.example", "https://a.example?ref=X%26"), ("https://a.example/?s=1", "https://a.example/?s=1&ref=X%26")],
)
def test_a_referral_link_is_the_stores_address_with_the_code(website, link):
    assert referral_link(website, "X&") == link


def changed(merchant, since, **options) -> list[str]:
    found, reached = host.changed_since(merchant.pk, since, **options)
    assert reached is None
    return list(found)


@pytest.fixture
def asha(shop):
    customer = person(shop)
    ledger.open_wallet(customer.pk)
    quiet(customer)
    customer.refresh_from_db()
    return customer


CHANGES = {
    "credit": lambda customer: services.credit(customer, 10),
    "debit": lambda customer: services.credit(customer, 10) and services.debit(customer, 4),
    "expiry": lambda customer: (
        services.credit(customer, 10, expires_at=timezone.now() - HOUR) and services.expire_coins(customer)
    ),
    "save": lambda customer: Customer.objects.get(pk=customer.pk).save(),
    "save of one column": lambda customer: customer.save(update_fields=["tier"]),
    "update": lambda customer: Customer.objects.filter(pk=customer.pk).update(referral_code="NEW"),
    "bulk update": lambda customer: Customer.objects.bulk_update([customer], ["email"]),
}


@pytest.mark.parametrize("how", CHANGES)
def test_whatever_changes_a_customer_is_seen(shop, elsewhere, asha, how):
    now = timezone.now()
    assert changed(shop, now - timedelta(minutes=1)) == []
    CHANGES[how](asha)
    assert changed(shop, now) == [asha.ref]
    assert changed(elsewhere, now - 9 * HOUR) == []
    assert set(host.merchants_changed_since(now)) == {shop.pk}
    assert changed(shop, timezone.now()) == [] == list(host.merchants_changed_since(timezone.now()))


def test_saving_a_stale_wallet_is_no_change(shop, asha):
    now = timezone.now()
    asha.wallet.save()
    assert changed(shop, now) == []


def test_a_lot_that_expires_by_itself_is_a_change_once(shop, asha, django_assert_num_queries):
    passed = timezone.now() - timedelta(minutes=5)
    services.credit(asha, 10, expires_at=passed)
    services.credit(asha, 10, expires_at=passed + HOUR)
    quiet(asha)
    with django_assert_num_queries(3):
        assert changed(shop, passed - timedelta(seconds=1)) == [asha.ref]
    with django_assert_num_queries(3):
        assert set(host.merchants_changed_since(passed - timedelta(seconds=1))) == {shop.pk}
    assert changed(shop, passed + timedelta(seconds=1)) == [] == list(host.merchants_changed_since(passed + timedelta(seconds=1)))
    services.debit(asha, 1)  # expires what is over, and moves the balance
    quiet(asha)
    assert changed(shop, passed - timedelta(seconds=1)) == []


def test_changes_come_oldest_first_and_each_customer_once(shop):
    people = [person(shop, number) for number in range(4)]
    for minutes, customer in zip([3, 1, 4, 2], people, strict=True):
        services.credit(customer, 1)
        quiet(customer, since=timedelta(minutes=minutes))
    order = [people[index].ref for index in (2, 0, 3, 1)]
    assert changed(shop, timezone.now() - HOUR) == order


def walk(merchant, since, limit) -> list[list[str]]:
    """Ask on from where each answer ends."""
    answers = []
    while since is not None:
        found, since = host.changed_since(merchant.pk, since, limit=limit)
        answers.append(list(found))
        assert len(answers) < 50, "it does not go on"
    return answers


def test_asking_on_misses_nobody_and_names_nobody_twice(shop):
    people = [person(shop, number) for number in range(7)]
    for minutes, customer in enumerate(people):
        quiet(customer, since=timedelta(minutes=30 - minutes))
    answers = walk(shop, timezone.now() - HOUR, 3)
    assert [len(answer) for answer in answers] == [3, 3, 1]
    assert [ref for answer in answers for ref in answer] == [customer.ref for customer in people]


def test_more_customers_in_one_instant_than_an_answer_holds_still_goes_on(shop):
    instant = timezone.now() - timedelta(minutes=10)
    people = [person(shop, number) for number in range(9)]
    Customer.objects.filter(pk__in=[customer.pk for customer in people[:7]]).update(changed_at=instant)
    Customer.objects.filter(pk__in=[customer.pk for customer in people[7:]]).update(changed_at=instant + timedelta(minutes=1))
    answers = walk(shop, instant, 2)
    assert [len(answer) for answer in answers] == [7, 2]


def test_the_time_of_a_change_is_written_with_the_balance_itself(asha):
    with CaptureQueriesContext(connection) as statements:
        services.credit(asha, 1)
    written = [row["sql"] for row in statements if row["sql"].startswith("UPDATE")]
    assert len(written) == 1 and '"balance" =' in written[0] and '"changed_at" =' in written[0]


def test_what_was_there_before_is_dated_by_its_last_move(asha):
    person(asha.merchant, 2)
    entry = services.credit(asha, 1)
    module = import_module("nectorbridge.loyalty.migrations.0003_date_what_is_there")
    module.date_what_is_there(apps, SimpleNamespace(connection=connection))
    asha.refresh_from_db()
    assert (asha.changed_at, asha.wallet.changed_at) == (asha.created_at, entry.created_at)


@pytest.mark.parametrize(
    ("model", "index"), [(Wallet, "wallet_changed"), (Customer, "customer_changed"), (WalletTransaction, "lot_expiring")]
)
def test_changes_are_found_by_the_index_of_their_time(shop, model, index):
    for rows, time, customer in changes._sources(shop.pk, timezone.now()):
        if rows.model is model and connection.vendor == "sqlite":  # PostgreSQL plans by what is in the table: nothing, here
            wanted = rows.filter(**{f"{time}__gte": timezone.now() - HOUR}).order_by(time, "pk").values_list(time, customer)
            assert f"INDEX {index} " in wanted[:10].explain().splitlines()[0]


def test_the_merchants_of_changed_wallets_are_found_from_the_wallets(shop):
    recent = changes.changed_wallets(timezone.now())
    if connection.vendor == "sqlite":
        assert "INDEX wallet_changed " in recent.explain().splitlines()[0]


@pytest.mark.parametrize(
    ("email", "whatsapp", "any_channel"),
    [
        ("subscribed", "unsubscribed", "subscribed"),
        ("unsubscribed", "unknown", "unsubscribed"),
        ("unknown", "unknown", "unknown"),
        ("unsubscribed", "subscribed", "subscribed"),
    ],
)
def test_what_a_customer_agreed_to_is_told_by_channel_and_for_any(shop, email, whatsapp, any_channel):
    asha = Customer.objects.create(merchant=shop, customer_id="agreed", consent_email=email, consent_whatsapp=whatsapp)
    assert host.consents(shop.pk, [asha.ref], "email") == {asha.ref: email}
    assert host.consents(shop.pk, [asha.ref], "whatsapp") == {asha.ref: whatsapp}
    assert host.consents(shop.pk, [asha.ref]) == {asha.ref: any_channel}


def test_consent_is_told_of_the_merchants_own_customers_only_and_in_one_statement(shop, django_assert_num_queries):
    people = [Customer.objects.create(merchant=shop, customer_id=f"agreed-{number}") for number in range(5)]
    with django_assert_num_queries(1):
        assert set(host.consents(shop.pk, [row.ref for row in people])) == {row.ref for row in people}
    with django_assert_num_queries(0):
        assert host.consents(shop.pk, ["", "nobody"]) == {}
    assert host.consents(shop.pk + 1, [people[0].ref]) == {}
