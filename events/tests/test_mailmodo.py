"""Mailmodo through the outbox and a sandbox that is as strict as its documents: the list, the rate, events of contacts on it."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from events import record, record_many, syncing
from events.drain import drain
from events.models import Call, Contact, ContactSync, EventDelivery
from events.tests.test_syncing import Shop, customer
from integrations.models import Integration, Status
from nectorbridge.sandbox import Sandbox
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "Nector Customers"


@pytest.fixture
def sandbox(settings):
    with Sandbox.running() as running:
        settings.PROVIDER_BASE_URLS = {**settings.PROVIDER_BASE_URLS, "mailmodo": running.url_of("mailmodo")}
        yield running


@pytest.fixture
def shop(settings):
    settings.NECTORBRIDGE_HOST = f"{Shop.__module__}.Shop"
    settings.PROFILE_SYNC_SECONDS = 1
    Shop.people, Shop.changed = {str(n): customer(str(n)) for n in range(1, 251)}, []
    return Shop


@pytest.fixture
def integration(shop):
    return connected()


def connected(rate=50):
    values = {"provider": "mailmodo", "common_property": "email", "secrets": {"api_key": "AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD"}}
    values["settings"] = {"list_name": LIST, "requests_per_second": rate}
    return make.definition(make.integration(**values), name="walletreward_create").integration


def event_of(integration, ref, **values):
    recipient = {key: value for key, value in customer(ref).recipient.items() if value}
    return make.activity(integration.merchant, person=ref, recipient=recipient, **values)


def test_initialize_puts_every_customer_on_the_list_without_starting_a_journey(integration, sandbox, shop):
    shop.people["7"] = customer("7", email="C8@Example.com")  # shares an address with number 8, in other letters
    result = integration.initialize()
    assert result.ok and LIST in result.detail
    syncing.push_contacts(integration.pk)
    run = ContactSync.objects.get()
    assert (run.state, run.total, run.handled, run.pushed, run.refused) == ("done", 250, 250, 250, 0)
    members = sandbox.members(LIST)
    assert len(members) == 249 and not any(member.started_journeys for member in members.values())
    assert members["c1@example.com"].data["nector_coins"] == 10
    assert Call.objects.filter(kind="bulk").count() == 3 and not sandbox.refused("mailmodo")


def test_a_newcomer_starts_the_lists_journeys_and_then_gets_the_event(integration, sandbox):
    integration.initialize()
    syncing.push_contacts(integration.pk)
    (row,) = record(event_of(integration, "999"))
    (known,) = record(event_of(integration, "5"))
    drain(integration.pk)
    assert sandbox.members(LIST)["c999@example.com"].started_journeys
    assert not sandbox.members(LIST)["c5@example.com"].started_journeys
    for delivery in (row, known):
        delivery.refresh_from_db()
        assert delivery.status == "sent" and sandbox.times("mailmodo", str(delivery.pk)) == 1
        assert delivery.attempts.get().error_message.startswith("ref ")


@pytest.mark.parametrize("rate", [5, 10])
def test_the_plans_rate_is_kept_whatever_is_sent_and_nothing_is_refused_for_it(shop, sandbox, rate):
    sandbox.limit("mailmodo", rate + 1)  # one more: on a busy machine calls do not take the same time to get there
    integration = connected(rate)
    record_many([event_of(integration, str(n)) for n in range(1, 1 + rate)])  # a contact and an event each
    began = time.monotonic()
    while EventDelivery.objects.exclude(status="sent").exists():
        drain(integration.pk)
        assert time.monotonic() - began < 20
    spent = time.monotonic() - began
    integration.refresh_from_db()
    assert (2 * rate - 1) / rate <= spent and integration.hold_count == 0
    assert set(Call.objects.values_list("http_status", flat=True)) == {200}


def test_two_workers_share_one_rate(shop, sandbox):
    sandbox.limit("mailmodo", 10)
    integration = connected(10)
    Integration.objects.update(paced_until=timezone.now() + timedelta(seconds=0.8))  # another worker's calls
    record(event_of(integration, "1"))
    began = time.monotonic()
    drain(integration.pk)
    assert time.monotonic() - began > 0.75 and EventDelivery.objects.get().status == "sent"


def test_a_list_name_that_is_a_static_segment_stops_with_the_reason_and_the_fix(integration, sandbox):
    sandbox.make_segments(LIST)
    assert integration.initialize().ok, "Mailmodo's own check cannot see it"
    for _ in range(3):
        Integration.objects.update(hold_until=None)
        ContactSync.objects.update(next_at=timezone.now())
        syncing.push_contacts(integration.pk)
    integration.refresh_from_db()
    run = ContactSync.objects.get()
    assert run.state == "running" and "static segment" in run.message
    assert integration.status == Status.ATTENTION and "List Name" in integration.status_reason and integration.status_fix
    integration.settings = {**integration.settings, "list_name": "Rewards Members"}
    integration.save()
    assert integration.initialize().ok
    syncing.push_contacts(integration.pk)
    assert len(sandbox.members("Rewards Members")) == 250


def test_one_bad_address_is_told_apart_from_ninety_nine_good_ones(integration, sandbox):
    integration.initialize()
    sandbox.fault("mailmodo", "partial", every=50)
    syncing.push_contacts(integration.pk)
    run = ContactSync.objects.get()
    assert (run.state, run.handled) == ("done", 250) and run.refused == 5 and run.pushed == 245
    assert Contact.objects.filter(status="refused").exclude(reason="*").count() == 5


def test_an_event_whose_contact_is_refused_fails_with_the_reason(integration, sandbox):
    sandbox.fault("mailmodo", "status", status=400, body='{"success": false, "message": "email is not valid"}')
    record(event_of(integration, "1"))
    drain(integration.pk)
    row = EventDelivery.objects.get()
    assert (row.status, row.reason) == ("failed", "identify_refused") and "email is not valid" in row.detail
