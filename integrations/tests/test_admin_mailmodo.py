"""Mailmodo's set-up page: its guide's steps, the list's name, the plan's rate, and Initialize."""

from __future__ import annotations

import pytest
import responses

from integrations.models import Integration, Status
from integrations.tests.conftest import CANARY
from integrations.tests.test_admin_catalogue import CATALOGUE
from integrations.tests.test_admin_setup import text, url_of

CHECK = "https://api.mailmodo.com/api/v1/getAllContactLists"
VALUES = {"common_property": "email", "api_key": "", "list_name": "Nector Customers", "requests_per_second": ""}


@pytest.fixture
def mailmodo(merchant):
    row = Integration(merchant=merchant, provider="mailmodo", common_property="email", settings={"list_name": "Nector Customers"})
    row.secrets = {"api_key": CANARY}
    row.save()
    return row


def save(client, integration, **values):
    return client.post(url_of(integration), VALUES | values, follow=True)


def test_search_finds_it_beside_the_others(staff, merchant):
    page = text(staff.get(CATALOGUE, {"q": "mailmodo"}))

    assert "Configure Mailmodo" in page and "Configure CleverTap" not in page


def test_its_page_renders_every_step_and_field(staff, mailmodo):
    page = text(staff.get(url_of(mailmodo)))

    for number, step in enumerate(mailmodo.contract.guide.steps, 1):
        assert f'id="step-{number}-title"' in page and str(step.title) in page
    for name in VALUES:
        assert f'name="{name}"' in page
    assert "all customers are added to it" in page and "static segment" in page
    assert 'value="10"' in page and "Pro plan" in page  # a suggestion
    assert page.index('id="step-4-title"') < page.index('name="_initialize"') < page.index('id="step-5-title"')
    assert CANARY not in page


@pytest.mark.parametrize("typed", ["", "   "])
@responses.activate
def test_an_empty_list_name_is_caught_before_anything_is_asked(staff, mailmodo, typed):
    page = text(save(staff, mailmodo, list_name=typed, _initialize="1"))

    assert ("There are only spaces here" if typed else "This is needed to connect") in page and CANARY not in page
    assert not responses.calls
    mailmodo.refresh_from_db()
    assert mailmodo.settings == {"list_name": "Nector Customers"} and mailmodo.status == Status.DRAFT


@responses.activate
def test_an_empty_list_name_that_was_stored_is_caught_by_initialize(mailmodo):
    mailmodo.settings = {"list_name": " "}
    mailmodo.save()

    result = mailmodo.initialize()

    assert not result.ok and "List Name" in result.reason and not responses.calls


@pytest.mark.parametrize(("typed", "stored"), [(" 10 ", "10"), ("50.0", "50"), ("7.5", "7.5")])
def test_the_plans_rate_is_kept_and_used(staff, mailmodo, typed, stored):
    save(staff, mailmodo, requests_per_second=typed)

    mailmodo.refresh_from_db()
    assert mailmodo.settings["requests_per_second"] == stored
    assert mailmodo.contract.calls_per_second(mailmodo.account()) == float(stored)


def test_a_rate_that_no_plan_has_and_a_pasted_address_are_refused(staff, mailmodo):
    page = text(save(staff, mailmodo, requests_per_second="500", api_key="https://manage.mailmodo.com/app/settings/apikey"))

    assert "5 (Lite), 10 (Pro) or 50 (Max)" in page and "This is no key" in page
    mailmodo.refresh_from_db()
    assert "requests_per_second" not in mailmodo.settings and mailmodo.secrets["api_key"] == CANARY


def test_the_key_is_never_shown_again(staff, mailmodo):
    page = text(save(staff, mailmodo, api_key="EEEEEEE-FFFFFFF-GGGGGGG-HHHHHHH"))

    assert "EEEEEEE" not in page and "EEEEEEE" not in text(staff.get(url_of(mailmodo)))
    mailmodo.refresh_from_db()
    assert mailmodo.secrets["api_key"] == "EEEEEEE-FFFFFFF-GGGGGGG-HHHHHHH"


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ([], "“Nector Customers” does not exist yet and will be made"),
        ([{"name": "Nector Customers", "contacts_count": 7}], "“Nector Customers” exists already and holds 7 contacts"),
    ],
)
@responses.activate
def test_initialize_says_what_becomes_of_the_list(mailmodo, lists, words):
    responses.add(responses.GET, CHECK, json={"listDetails": lists})

    result = mailmodo.initialize()

    mailmodo.refresh_from_db()
    assert result.ok and mailmodo.status == Status.ACTIVE and mailmodo.enabled
    assert words in result.detail and "in the background" in result.detail
    assert responses.calls[0].request.headers["mmApiKey"] == CANARY


@responses.activate
def test_a_wrong_key_needs_attention_and_an_outage_changes_nothing(mailmodo):
    responses.add(responses.GET, CHECK, status=503)
    assert not mailmodo.initialize().ok
    mailmodo.refresh_from_db()
    assert mailmodo.status == Status.DRAFT

    responses.replace(responses.GET, CHECK, json={"listDetails": [], "Error": "API key missing"})
    assert not mailmodo.initialize().ok
    mailmodo.refresh_from_db()
    assert mailmodo.status == Status.ATTENTION and "API key" in mailmodo.status_reason
