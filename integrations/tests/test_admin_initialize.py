"""Initialize, pause and resume: the answer a person sees, the state that is saved, and POST only."""

from __future__ import annotations

import pytest
import requests
import responses
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from integrations import background, tasks
from integrations.models import Status
from integrations.tests.conftest import CANARY, CONNECT_URL
from integrations.tests.test_admin_setup import NEW_SECRET, VALUES, save, text, url_of
from integrations.verification import set_status


@pytest.fixture
def clevertap():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


@pytest.fixture
def active(integration):
    set_status(integration, Status.ACTIVE, initialized_at=timezone.now(), enabled=True)
    return integration


def initialize(client, integration):
    """Click, let the worker do what it was asked for, look again."""
    client.post(url_of(integration, "initialize"))
    tasks.initialize(integration.pk)
    return client.get(url_of(integration))


def test_accepted_credentials_connect_and_the_page_says_what_is_next(staff, integration, clevertap):
    clevertap.get(CONNECT_URL, json={"status": "success"})

    page = text(initialize(staff, integration))

    integration.refresh_from_db()
    assert (integration.status, integration.enabled) == (Status.ACTIVE, True)
    assert clevertap.calls[0].request.headers["X-CleverTap-Passcode"] == CANARY
    assert "Connected to account K97-K78-1234 (region IN1)." in page
    assert "Choose what should be sent" in page
    assert CANARY not in page


def test_the_next_step_is_an_event_of_this_integration(staff, active):
    page = text(staff.get(url_of(active)))

    assert f"{reverse('admin:events_eventdefinition_add')}?integration={active.pk}" in page


def test_refused_credentials_show_the_reason_and_the_fix_and_stay(staff, integration, clevertap):
    clevertap.get(CONNECT_URL, status=401, json={"status": "fail", "error": "Invalid Credentials", "code": 401})

    page = text(initialize(staff, integration))

    integration.refresh_from_db()
    assert integration.status == Status.ATTENTION
    for shown in (page, text(staff.get(url_of(integration)))):
        assert "CleverTap refused the Account ID, the Passcode or the Server Prefix (401). Invalid Credentials" in shown
        assert "What to do:" in shown
        assert "Copy the Project ID into Account ID" in shown
        assert CANARY not in shown


@pytest.mark.parametrize("before", [Status.DRAFT, Status.ACTIVE, Status.PAUSED])
def test_an_unreachable_provider_changes_nothing_and_says_so(staff, integration, clevertap, before):
    set_status(integration, before)
    clevertap.get(CONNECT_URL, body=requests.ConnectionError("no route"))

    page = text(initialize(staff, integration))

    integration.refresh_from_db()
    assert integration.status == before
    assert "CleverTap could not be reached." in page
    assert "Nothing was learned about the keys." in page


def test_missing_values_are_named_without_asking_the_provider(staff, integration, clevertap):
    integration.settings = {}
    integration.save()

    page = text(initialize(staff, integration))

    assert "Account ID (CleverTap: Project ID), Server Prefix missing." in page
    assert len(clevertap.calls) == 0


def test_the_button_saves_first_and_checks_what_was_typed(staff, integration, clevertap):
    clevertap.get(CONNECT_URL, json={"status": "success"})

    waiting = text(save(staff, integration, private_api_key=NEW_SECRET, _initialize="1"))
    tasks.initialize(integration.pk)
    page = text(staff.get(url_of(integration)))

    integration.refresh_from_db()
    assert "Starting the check" in waiting and NEW_SECRET not in waiting + page
    assert clevertap.calls[0].request.headers["X-CleverTap-Passcode"] == NEW_SECRET
    assert integration.status == Status.ACTIVE
    assert "Connected to account" in page


def test_the_button_asks_nobody_while_a_value_is_missing_or_wrong(staff, integration, clevertap):
    page = text(save(staff, integration, account_id="", _initialize="1"))

    assert "This is needed to connect." in page
    assert len(clevertap.calls) == 0
    integration.refresh_from_db()
    assert integration.status == Status.DRAFT


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_provider_is_asked(staff, integration, clevertap, monkeypatch):
    from django.db import connection

    seen = []

    def answer(_request):
        seen.append(connection.in_atomic_block)
        return 200, {}, '{"status": "success"}'

    clevertap.add_callback(responses.GET, CONNECT_URL, answer)

    monkeypatch.setattr(background, "ask_worker", lambda _integration: False)

    save(staff, integration, _initialize="1")
    initialize(staff, integration)

    assert seen == [False, False]


def test_plain_saving_of_a_draft_asks_nobody(staff, integration, clevertap, asked):
    save(staff, integration, private_api_key=NEW_SECRET)

    assert asked == []

    assert len(clevertap.calls) == 0


def test_initializing_is_in_the_history(staff, integration, clevertap):
    clevertap.get(CONNECT_URL, json={"status": "success"})

    initialize(staff, integration)

    assert LogEntry.objects.get().get_change_message() == "Initialized."


@pytest.mark.parametrize("verb", ["initialize", "discard", "pause", "resume", "disconnect"])
def test_a_get_changes_nothing_and_leads_back(staff, active, clevertap, verb):
    answer = staff.get(url_of(active, verb))

    assert (answer.status_code, answer.url) == (302, url_of(active))
    active.refresh_from_db()
    assert active.status == Status.ACTIVE
    assert len(clevertap.calls) == 0
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", ["initialize", "discard", "pause", "resume", "disconnect", "change"])
def test_a_post_without_csrf_token_is_refused(staff, active, verb):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = staff.cookies

    assert strict.post(url_of(active, verb), VALUES).status_code == 403
    active.refresh_from_db()
    assert active.status == Status.ACTIVE


def test_pause_and_resume(staff, active):
    assert "Waiting events are kept and sent after you resume." in text(staff.get(url_of(active)))

    staff.post(url_of(active, "pause"))
    active.refresh_from_db()
    assert active.status == Status.PAUSED
    assert "Yes, resume" in text(staff.get(url_of(active)))

    staff.post(url_of(active, "resume"))
    active.refresh_from_db()
    assert active.status == Status.ACTIVE


@pytest.mark.parametrize("status", [Status.DRAFT, Status.ATTENTION, Status.PAUSED])
def test_only_what_is_active_can_be_paused(staff, integration, status):
    set_status(integration, status, "reason", "fix")

    staff.post(url_of(integration, "pause"))

    integration.refresh_from_db()
    assert (integration.status, integration.status_reason) == (status, "reason")


@pytest.mark.parametrize("status", [Status.DRAFT, Status.ATTENTION, Status.PAUSED])
def test_what_was_never_connected_cannot_be_resumed(staff, integration, status):
    set_status(integration, status)

    staff.post(url_of(integration, "resume"))

    integration.refresh_from_db()
    assert integration.status == status
