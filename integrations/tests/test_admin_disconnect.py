"""Disconnect: said first, confirmed, logged; the credentials are gone and the rest is there for the next time."""

from __future__ import annotations

import pytest
import responses
from django.utils import timezone

from integrations import background, candidates, tasks
from integrations.models import Integration, Status
from integrations.signals import disconnected, status_changed, waiting_events
from integrations.tests.conftest import CANARY, CONNECT_URL
from integrations.tests.test_admin_setup import NEW_SECRET, logged, save, text, url_of
from integrations.verification import set_status


@pytest.fixture
def active(integration):
    set_status(integration, Status.ACTIVE, initialized_at=timezone.now(), enabled=True, checklist={"one": {}})
    return integration


@pytest.fixture
def three_wait():
    """Somebody who counts three waiting events, and cancels them."""

    def three(**_kwargs):
        return 3

    waiting_events.connect(three)
    disconnected.connect(three)
    yield
    waiting_events.disconnect(three)
    disconnected.disconnect(three)


def test_what_happens_is_said_first(staff, active, three_wait):
    page = text(staff.get(url_of(active)))

    assert "3 waiting events are cancelled; their history stays." in page
    assert "Calls that are under way end by themselves." in page
    assert "The credentials are deleted." in page and "Your events and the other values are kept" in page
    assert "Yes, disconnect" in page


def test_afterwards_it_is_a_draft_without_credentials(staff, active, three_wait):
    Integration.objects.update(sealed_candidate=candidates.seal(active, candidates.Candidate("email", {}, {"k": NEW_SECRET})))
    token = active.callback_token

    page = text(staff.post(url_of(active, "disconnect"), follow=True))

    active.refresh_from_db()
    assert (active.status, active.enabled, active.initialized_at) == (Status.DRAFT, False, None)
    assert (active.sealed_secrets, active.sealed_candidate, active.secrets, active.checklist) == (None, None, {}, {})
    assert (active.settings["account_id"], active.callback_token) == ("K97-K78-1234", token)
    assert "3 waiting events were cancelled." in page and CANARY not in page
    assert "Disconnected. 3 waiting events were cancelled." in logged()


def test_it_is_announced(staff, active):
    seen = []

    def on_change(before, after, **_kwargs):
        seen.append((before, after))

    status_changed.connect(on_change)
    try:
        staff.post(url_of(active, "disconnect"))
        staff.post(url_of(active, "disconnect"))
    finally:
        status_changed.disconnect(on_change)
    assert seen == [(Status.ACTIVE, Status.DRAFT)]


def test_a_draft_without_credentials_has_nothing_to_disconnect(staff, merchant):
    draft = Integration.objects.create(merchant=merchant, provider="clevertap")

    assert "Yes, disconnect" not in text(staff.get(url_of(draft)))
    assert "There is nothing to disconnect." in text(staff.post(url_of(draft, "disconnect"), follow=True))


def test_a_check_under_way_does_not_connect_it_again(staff, active):
    def disconnect_meanwhile(_request):
        staff.post(url_of(active, "disconnect"))
        return 200, {}, '{"status": "success"}'

    with responses.RequestsMock() as mocked:
        mocked.add_callback(responses.GET, CONNECT_URL, disconnect_meanwhile)
        background.begin(active)
        tasks.initialize(active.pk)

    active.refresh_from_db()
    assert (active.status, active.enabled, active.secrets) == (Status.DRAFT, False, {})


@responses.activate
def test_it_can_be_connected_anew(staff, active):
    responses.get(CONNECT_URL, json={"status": "success"})
    staff.post(url_of(active, "disconnect"))

    assert "This is needed to connect." in text(save(staff, active, _initialize="1"))
    save(staff, active, private_api_key=NEW_SECRET, _initialize="1")
    tasks.initialize(active.pk)

    active.refresh_from_db()
    assert (active.status, active.enabled, active.secrets) == (Status.ACTIVE, True, {"private_api_key": NEW_SECRET})
