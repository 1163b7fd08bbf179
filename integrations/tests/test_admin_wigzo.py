"""Wigzo's set-up page: its guide's steps, the two tokens, and a check that says what it cannot know."""

from __future__ import annotations

import json
import logging
import uuid
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from django.contrib.auth.models import User

from integrations import tasks
from integrations.models import Integration, Membership, Status
from integrations.probe import NOBODY, contact_email, for_check
from integrations.tests.conftest import CANARY
from integrations.tests.test_admin_catalogue import CATALOGUE
from integrations.tests.test_admin_setup import text, url_of

IDENTIFY = "https://tracker.wigzopush.com/rest/v1/learn/identify"
VALUES = {"common_property": "email", "org_token": "", "api_token": "", "host": ""}
TOKENS = {"org_token": f"{CANARY}/org+", "api_token": f"{CANARY}=api&"}


@pytest.fixture
def wigzo(merchant):
    row = Integration(merchant=merchant, provider="wigzo", common_property="email")
    row.secrets = TOKENS
    row.save()
    return row


def save(client, integration, **values):
    return client.post(url_of(integration), VALUES | values, follow=True)


def owner(merchant, email, role="owner", is_active=True):
    user = User.objects.create_user(f"u{User.objects.count()}", email, is_active=is_active)
    return Membership.objects.create(merchant=merchant, user=user, role=role)


def test_search_finds_it_in_its_category(staff, merchant):
    page = text(staff.get(CATALOGUE, {"q": "wigzo"}))

    assert "Configure Wigzo" in page and "Configure CleverTap" not in page and "Email &amp; WhatsApp Marketing" in page


def test_its_page_renders_every_step_and_field(staff, wigzo):
    page = text(staff.get(url_of(wigzo)))

    for number, step in enumerate(wigzo.contract.guide.steps, 1):
        assert f'id="step-{number}-title"' in page and str(step.title) in page
    for name in VALUES:
        assert f'name="{name}"' in page
    assert page.count('type="password"') == 2
    assert page.index('id="step-3-title"') < page.index('name="_initialize"') < page.index('id="step-4-title"')
    assert CANARY not in page


def test_its_page_says_where_the_tokens_are_and_what_wigzo_cannot_confirm(staff, wigzo):
    page = text(staff.get(url_of(wigzo)))

    assert "Settings &gt; Integration" in page and "integration manager or support" in page
    assert "Wigzo cannot confirm the API token" in page.replace("\n", " ")
    assert "The email you use must already be a customer of the store" in page


def test_email_is_the_only_common_property(staff, wigzo):
    assert "Select a valid choice" in text(save(staff, wigzo, common_property="customer_id"))


def test_tokens_are_kept_tidy_and_a_pasted_address_is_refused_without_repeating_it(staff, wigzo):
    save(staff, wigzo, org_token=" AbCdEfGhIjKlMnOpQrStUv ")
    wigzo.refresh_from_db()
    assert wigzo.secrets == TOKENS | {"org_token": "AbCdEfGhIjKlMnOpQrStUv"}

    page = text(save(staff, wigzo, api_token=f"https://app.wigzo.com/?token={CANARY}"))
    assert "This is an address, not a token" in page and CANARY not in page
    assert "There is a space inside" in text(save(staff, wigzo, org_token="a b"))
    wigzo.refresh_from_db()
    assert wigzo.secrets == TOKENS | {"org_token": "AbCdEfGhIjKlMnOpQrStUv"}


def test_the_api_address_is_tidied_offered_and_an_internal_one_refused(staff, wigzo):
    assert 'value="https://app.wigzo.com"' in text(staff.get(url_of(wigzo)))
    save(staff, wigzo, host="App.wigzo.com")
    wigzo.refresh_from_db()
    assert wigzo.settings == {"host": "https://app.wigzo.com"}

    assert "not an IP address or an internal name" in text(save(staff, wigzo, host="https://169.254.169.254"))
    wigzo.refresh_from_db()
    assert wigzo.settings == {"host": "https://app.wigzo.com"}


@responses.activate
def test_initialize_writes_the_merchants_own_test_profile_and_says_what_that_proves(wigzo, merchant):
    responses.add(responses.POST, IDENTIFY, json={"status": "success"})
    owner(merchant, "owner@acme.example")

    first, second = wigzo.initialize(), wigzo.initialize()

    wigzo.refresh_from_db()
    assert first.ok and second.ok and wigzo.status == Status.ACTIVE and wigzo.enabled
    assert "cannot confirm the API token" in first.detail
    bodies = [json.loads(call.request.body) for call in responses.calls]
    assert bodies[0] == bodies[1] == {"userId": str(wigzo.uid), "email": "owner@acme.example", "is_active": True, "source": "web"}
    assert uuid.UUID(bodies[0]["userId"]).version == 4
    query = parse_qs(urlsplit(responses.calls[0].request.url).query)
    assert query == {"token": [TOKENS["api_token"]], "org_token": [TOKENS["org_token"]]}


@responses.activate
def test_wrong_tokens_need_attention_and_an_outage_changes_nothing(wigzo):
    responses.add(responses.POST, IDENTIFY, status=503)
    assert not wigzo.initialize().ok
    wigzo.refresh_from_db()
    assert wigzo.status == Status.DRAFT

    responses.replace(responses.POST, IDENTIFY, status=401, json={"status": "error", "message": f"no {TOKENS['api_token']}"})
    result = wigzo.initialize()
    wigzo.refresh_from_db()
    assert wigzo.status == Status.ATTENTION and "API token" in wigzo.status_reason and wigzo.status_fix
    assert CANARY not in repr(result) + wigzo.status_reason


@pytest.mark.parametrize("tokens", [{"org_token": "abc", "api_token": "abc"}, {"org_token": "abc", "api_token": "  "}])
@responses.activate
def test_tokens_that_cannot_be_right_make_no_call(wigzo, tokens):
    wigzo.secrets = tokens
    wigzo.save()

    result = wigzo.initialize()

    wigzo.refresh_from_db()
    assert not result.ok and result.fix and wigzo.status == Status.ATTENTION and len(responses.calls) == 0


@responses.activate
def test_no_token_is_logged_nor_shown_whatever_wigzo_echoes(staff, wigzo, caplog):
    def echo(request):
        return 400, {}, json.dumps({"message": f"Invalid token in {request.url}"})

    responses.add_callback(responses.POST, IDENTIFY, echo)
    with caplog.at_level(logging.DEBUG):
        staff.post(url_of(wigzo), VALUES | {"_initialize": "1"}, follow=True)
        tasks.initialize(wigzo.pk)
        page = text(staff.get(url_of(wigzo)))

    wigzo.refresh_from_db()
    assert wigzo.status == Status.ATTENTION and "Invalid token in" in wigzo.status_reason
    seen = page + wigzo.status_reason + str(wigzo.check_result) + caplog.text
    assert "CANARY" not in seen


# Whose address the test profile has


def test_the_first_active_owner_with_an_address_is_asked_for(wigzo, merchant):
    owner(merchant, "manager@acme.example", role="manager")
    owner(merchant, "gone@acme.example", is_active=False)
    owner(merchant, "")
    owner(merchant, "first@acme.example")
    owner(merchant, "second@acme.example")

    assert contact_email(wigzo) == "first@acme.example"


@pytest.mark.parametrize(
    ("website", "email"),
    [
        ("https://www.acme.example/shop", "nectorbridge@acme.example"),
        ("http://acme.co.in:8000", "nectorbridge@acme.co.in"),
        ("", NOBODY),
        ("https://localhost", NOBODY),
        ("https://[::1", NOBODY),
    ],
)
def test_without_an_owners_address_the_website_gives_one(wigzo, merchant, website, email):
    merchant.website = website

    assert contact_email(wigzo) == email


def test_only_a_check_asks_the_database_whose_it_is(wigzo, django_assert_num_queries):
    with django_assert_num_queries(0):
        account = wigzo.account()
    assert (account.contact_email, account.probe_id) == ("", str(wigzo.uid))
    with django_assert_num_queries(1):
        assert for_check(wigzo, account).contact_email == NOBODY
