"""No page may read all of a merchant's rows to show a few. Plans are SQLite's, which keeps no statistics: they never change.

Not collected on PostgreSQL, which plans by what it knows of the rows (see conftest).
"""

from __future__ import annotations

import re

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from events.models import EventDelivery
from events.tests.conftest import deliver, login
from nectorbridge.bench.plans import explained
from nectorbridge.loyalty.models import Customer
from nectorbridge.testing import make

LIST = reverse("admin:events_eventdelivery_changelist")
ALL_OF_A_MERCHANT = ("delivery_by_merchant (merchant_id=?)", "SCAN events_eventdelivery")
QUERIES = (
    "integration__id__exact={integration}",
    "definition__id__exact={definition}",
    "integration__id__exact={integration}&status__exact=queued",
    "definition__id__exact={definition}&status__exact=sending",
    "status__exact=queued",
    "status__exact=held",
    "portal=pos",
    "portal=app&definition__id__exact={definition}",
    "portal=pos&status__exact=failed",
    "q=ASHA@example.com",
    "q=v-9&status__exact=held",
    "customer_ref__exact=c1",
    "customer_ref__exact=c1&customer_ref__exact=c2",
    "customer_ref__exact=c1&created_at_from=2020-01-01",
)


@pytest.fixture
def delivery(db: None) -> EventDelivery:
    return deliver(make.definition(make.integration(make.merchant())), status="sent")


@pytest.fixture(params=["owner", "administrator"])
def browser(request: pytest.FixtureRequest, delivery: EventDelivery) -> Client:
    client = login("someone", delivery.merchant)
    get_user_model().objects.update(is_superuser=request.param == "administrator")
    return client


def plans(browser: Client, address: str) -> list[str]:
    """Return the plans of a page's statements about deliveries; the page is there."""
    answers: list[int] = []
    found = explained(lambda: answers.append(browser.get(address).status_code))
    assert answers == [200] and found
    return found


def reading_all(found: list[str]) -> list[str]:
    """Return the plans that read all of a merchant's rows."""
    return [plan for plan in found if any(words in plan for words in ALL_OF_A_MERCHANT)]


def without_lists(found: list[str]) -> list[str]:
    """Return the plans without the lists within a statement: those are of the newest so many."""
    return [re.sub(r"LIST SUBQUERY \d+\n.*", "", plan) for plan in found]


@pytest.mark.parametrize("query", QUERIES)
def test_a_filtered_list_reads_no_merchants_rows_to_the_end(browser: Client, delivery: EventDelivery, query: str) -> None:
    address = f"{LIST}?{query.format(integration=delivery.integration_id, definition=delivery.definition_id)}"
    assert reading_all(plans(browser, address)) == []


@pytest.mark.parametrize("place", ["admin:events_eventdelivery_change", "admin:loyalty_customer_change"])
def test_a_delivery_and_a_customer_find_their_history_by_the_customer(
    browser: Client, delivery: EventDelivery, place: str
) -> None:
    key = Customer.objects.create(merchant=delivery.merchant, customer_id="v-9").pk if "customer" in place else delivery.pk
    found = plans(browser, reverse(place, args=[key]))
    assert reading_all(found) == []
    assert any("delivery_by_customer (merchant_id=? AND customer_ref=?)" in plan for plan in found)


@pytest.mark.parametrize("period", ["today", "7", "30"])
def test_the_home_page_reads_no_merchants_rows_to_the_end(browser: Client, period: str) -> None:
    assert reading_all(without_lists(plans(browser, f"{reverse('admin:index')}?period={period}"))) == []


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("integrations_integration_changelist", ""),
        ("integrations_integration_change", "integration"),
        ("events_launch", "integration"),
        ("events_coming_back", "integration"),
        ("events_statistics", "integration"),
        ("events_eventdefinition_changelist", ""),
        ("events_eventdefinition_change", "definition"),
        ("events_eventdefinition_statistics", "definition"),
        ("events_eventdefinition_worth", "definition"),
        ("events_eventdefinition_journey", "definition"),
        ("events_eventdefinition_test", "definition"),
    ],
)
def test_the_pages_of_an_integration_and_an_event_do_not_either(
    browser: Client, delivery: EventDelivery, name: str, of: str, is_new: bool
) -> None:
    definition = delivery.definition
    if is_new:  # nothing was ever sent: looking for the first must not become looking through all
        definition = make.definition(make.integration(delivery.merchant, provider="moengage"))
    args = {"": [], "integration": [definition.integration_id], "definition": [definition.pk]}[of]
    answers: list[int] = []
    found = explained(lambda: answers.append(browser.get(reverse(f"admin:{name}", args=args)).status_code))
    assert answers[0] in (200, 302)
    assert reading_all(without_lists(found)) == []
