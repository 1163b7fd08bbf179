"""The page of an integration's customers sync: progress, the two verbs, and who may use them."""

from __future__ import annotations

import pytest
from django.urls import reverse

from events.models import Contact, ContactSync
from events.tests.conftest import login
from events.tests.test_syncing import Shop, customer
from integrations.models import Integration
from nectorbridge.testing import make

LIST = reverse("admin:events_contactsync_changelist")


def address(integration, name=""):
    if name:
        return reverse(f"admin:events_contactsync_{name}", args=[integration.pk])
    return f"{LIST}?integration__id__exact={integration.pk}"


@pytest.fixture(autouse=True)
def shop(settings):
    settings.NECTORBRIDGE_HOST = f"{Shop.__module__}.Shop"
    Shop.people, Shop.changed = {str(n): customer(str(n)) for n in range(1, 26)}, []


def text(answer) -> str:
    return answer.content.decode()


def test_the_page_says_what_is_synced_and_how_many_there_are(owner, integration):
    page = text(owner.get(address(integration)))
    assert "Sync all customers" in page and "Customers so far: 25." in page and "Points that expire next" in page
    assert "points expire soon" in page, "in the merchant's word"


def test_sync_all_starts_one_run_that_shows_its_progress_and_can_be_stopped(owner, integration):
    assert "Started" in text(owner.post(address(integration, "start"), follow=True))
    owner.post(address(integration, "start"))
    run = ContactSync.objects.get()
    ContactSync.objects.update(handled=10, pushed=8, refused=2, message="mailbox unknown")
    progress = owner.get(address(integration, "progress")).json()
    assert (progress["share"], progress["words"], progress["over"]) == (40, "10 of 25 customers", False)
    assert progress["parts"] == "8 sent; 2 refused" and progress["message"] == "mailbox unknown"
    page = text(owner.get(address(integration)))
    assert (
        f'data-sync="{address(integration, "progress")}"' in page and 'value="40"' in page and "Sync all customers</" not in page
    )
    assert "Stopped" in text(owner.post(address(integration, "stop"), follow=True))
    run.refresh_from_db()
    assert run.state == "stopped" and run.ended_at


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_a_get_and_a_viewer_change_nothing(owner, integration, verb):
    ContactSync.objects.create(integration=integration)
    viewer = login("looker", integration.merchant, "viewer")
    assert owner.get(address(integration, verb)).status_code == 302
    assert viewer.post(address(integration, verb)).status_code == 403
    assert ContactSync.objects.get().state == "running"
    assert address(integration, verb) not in text(viewer.get(address(integration)))


@pytest.mark.parametrize("name", ["", "progress", "start", "stop"])
def test_another_merchants_staff_find_nothing(stranger, integration, name):
    run = ContactSync.objects.create(integration=integration)
    assert stranger.get(address(integration, name)).status_code == 404
    assert stranger.post(address(integration, name)).status_code in (403, 404)
    assert stranger.get(reverse("admin:events_contactsync_change", args=[run.pk])).status_code == 404
    assert "CleverTap" not in text(stranger.get(LIST))
    run.refresh_from_db()
    assert run.state == "running"


def test_an_integration_that_cannot_send_is_not_synced(owner, integration):
    Integration.objects.update(status="paused")
    assert "Connect or resume the integration first" in text(owner.get(address(integration)))
    owner.post(address(integration, "start"))
    assert not ContactSync.objects.exists()


def test_a_provider_that_cannot_hold_the_values_says_so(owner, integration):
    wigzo = make.integration(integration.merchant, provider="wigzo", common_property="email", settings={}, secrets={})
    page = text(owner.get(address(wigzo)))
    assert "has no place for these values" in page and address(wigzo, "start") not in page
    assert "cannot hold" in text(owner.post(address(wigzo, "start"), follow=True)) and not ContactSync.objects.exists()


def test_refusals_are_shown_by_reason(owner, integration):
    for number in range(3):
        Contact.objects.create(integration=integration, customer_ref=str(number), status="refused", reason="mailbox unknown")
    assert "mailbox unknown" in text(owner.get(address(integration)))


def test_without_an_integration_the_page_offers_those_there_are(owner, integration):
    assert address(integration).replace("&", "&amp;") in text(owner.get(LIST))
