"""Contlo through the outbox: one event a call, calls side by side, one customer's events one after the other."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from unittest import mock

import pytest
import responses
from django.utils import timezone

from events import record, record_many
from events.drain import drain
from events.models import Call, Contact, DeliveryAttempt, EventDelivery
from events.sweep import sweep
from integrations.models import Integration, Status
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
TRACK = "https://api.contlo.com/v1/track"
CHECK = "https://marketing.contlo.com/api/integrations/zapier"
SECRET = "CANARY-0123456789abcdef"


@pytest.fixture
def integration():
    values = {"provider": "contlo", "common_property": "email", "settings": {}, "secrets": {"private_api_key": SECRET}}
    return make.definition(make.integration(**values), name="Wallet Coins Rewarded").integration


@pytest.fixture
def merchant(integration):
    return integration.merchant


@pytest.fixture
def provider():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def answer(provider, body=None, status=200, **kwargs):
    provider.add(responses.POST, TRACK, json={"success": True} if body is None else body, status=status, **kwargs)


def sent(provider) -> list[dict]:
    return [json.loads(call.request.body) for call in provider.calls if call.request.url == TRACK]


def people(merchant, number):
    return record_many(
        [make.activity(merchant, person=f"c{n}", recipient={**make.PERSON, "email": f"c{n}@x.io"}) for n in range(number)]
    )


def test_an_event_and_its_profile_are_one_call_and_the_profile_goes_once(integration, merchant, provider):
    answer(provider)
    (row,) = record(make.activity(merchant))
    record(make.activity(merchant))
    drain(integration.pk)
    row.refresh_from_db()
    assert row.status == "sent" and row.attempts.get().outcome == "accepted"
    first, second = sent(provider)
    assert first["event"] == "Wallet_Coins_Rewarded" and first["email"] == "asha@example.com"
    assert first["properties"]["nector_delivery_id"] == str(row.pk) and "title" not in first["properties"]
    assert first["profile_properties"]["first_name"] == "Asha" and "profile_properties" not in second
    assert Contact.objects.get().remote_id == "asha@example.com"
    assert SECRET not in "".join(call.request + call.response for call in Call.objects.all())


def test_one_customers_events_leave_in_order_one_after_the_other_while_others_pass(integration, merchant, provider):
    under_way, seen = set(), []

    def slowly(request):
        body = json.loads(request.body)
        assert body["email"] not in under_way
        under_way.add(body["email"])
        time.sleep(0.02)
        under_way.discard(body["email"])
        seen.append(body["properties"]["nector_delivery_id"])
        return 200, {}, json.dumps({"success": True})

    provider.add_callback(responses.POST, TRACK, slowly)
    rows = [row for _ in range(3) for row in record(make.activity(merchant, person="asha"))]
    others = people(merchant, 2)
    drain(integration.pk)
    assert [key for key in seen if key in {str(row.pk) for row in rows}] == [str(row.pk) for row in rows]
    assert {str(row.pk) for row in others} <= set(seen[:3])
    assert set(EventDelivery.objects.values_list("status", "attempt_count")) == {("sent", 1)}


def test_a_failing_event_holds_back_its_customers_next_one(integration, merchant, provider):
    answer(provider, status=500)
    record(make.activity(merchant))
    record(make.activity(merchant))
    drain(integration.pk)
    assert len(sent(provider)) == 1
    assert sorted(EventDelivery.objects.values_list("status", flat=True)) == ["queued", "retrying"]


@pytest.mark.parametrize(("others", "most"), [(0, 8), (20, 4), (24, 0)])
def test_no_more_calls_are_under_way_than_the_contract_allows_whoever_makes_them(integration, merchant, provider, others, most):
    now = timezone.now()
    for _ in range(others):  # another worker's
        Call.objects.create(integration=integration, started_at=now, lease_until=now + timedelta(seconds=60))
    side_by_side, peak = [], []

    def slowly(_request):
        side_by_side.append(1)
        peak.append(len(side_by_side))
        time.sleep(0.6)  # too slow for committing calls ahead of time
        side_by_side.pop()
        return 200, {}, json.dumps({"success": True})

    provider.add_callback(responses.POST, TRACK, slowly)
    people(merchant, 10)
    with mock.patch("events.turns.LONGEST_SECONDS", 0.4):
        drain(integration.pk)
    assert max(peak, default=0) == most
    assert EventDelivery.objects.filter(status="sent").count() == most
    assert EventDelivery.objects.filter(status="queued", attempt_count=0, lease_owner="").count() == 10 - most


def test_calls_that_are_committed_ahead_count_as_under_way(integration, merchant, provider):
    open_calls = []

    def quickly(_request):
        open_calls.append(Call.objects.filter(ended_at__isnull=True).count())
        return 200, {}, json.dumps({"success": True})

    provider.add_callback(responses.POST, TRACK, quickly)
    people(merchant, 60)
    assert drain(integration.pk) == 60
    assert max(open_calls) <= 24
    assert set(EventDelivery.objects.values_list("status", "attempt_count")) == {("sent", 1)}
    assert DeliveryAttempt.objects.filter(outcome="accepted", http_status=200, number=1).count() == 60


def test_success_false_fails_that_event_alone(integration, merchant, provider):
    def refuse_one(request):
        refused = json.loads(request.body)["email"] == "c1@x.io"
        body = {"success": False, "error": "event is archived"} if refused else {"success": True}
        return 200, {}, json.dumps(body)

    provider.add_callback(responses.POST, TRACK, refuse_one)
    rows = people(merchant, 3)
    drain(integration.pk)
    states = [EventDelivery.objects.get(pk=row.pk) for row in rows]
    assert [(row.status, row.reason) for row in states] == [("sent", ""), ("failed", "refused"), ("sent", "")]
    assert "event is archived" in states[1].detail
    assert sorted(Contact.objects.values_list("customer_ref", flat=True)) == ["c0", "c2"]


def test_an_unreadable_success_is_uncertain(integration, merchant, provider):
    provider.add(responses.POST, TRACK, body="<html>ok</html>", status=200)
    record(make.activity(merchant))
    drain(integration.pk)
    row = EventDelivery.objects.get()
    assert (row.status, row.uncertain_count, row.failure_count) == ("retrying", 1, 0)
    assert not Contact.objects.exists()


def test_401_that_the_check_confirms_holds_the_queue_and_asks_once(integration, merchant, provider):
    answer(provider, {"success": False, "error": "Invalid API key"}, 401)
    provider.add(responses.POST, CHECK, json={"success": False})
    people(merchant, 12)
    drain(integration.pk)
    sweep()
    integration.refresh_from_db()
    assert integration.status == Status.ATTENTION and "Private API Key" in integration.status_reason and integration.status_fix
    assert set(EventDelivery.objects.values_list("status", "failure_count")) == {("held", 0)}
    assert [call.request.url for call in provider.calls].count(CHECK) == 1
    provider.replace(responses.POST, TRACK, json={"success": True})
    provider.replace(responses.POST, CHECK, json={"success": True})
    assert integration.initialize().ok
    drain(integration.pk)
    assert set(EventDelivery.objects.values_list("status", flat=True)) == {"sent"}


def test_401s_side_by_side_that_the_check_does_not_confirm_are_one_blip(integration, merchant, provider):
    answer(provider, {"success": False}, 401)
    provider.add(responses.POST, CHECK, json={"success": True})
    people(merchant, 8)
    drain(integration.pk)
    integration.refresh_from_db()
    assert (integration.status, integration.hold_count) == (Status.ACTIVE, 1)


def test_429s_side_by_side_are_one_hold_and_an_accepted_call_does_not_end_it(integration, merchant, provider):
    def limit_most(request):
        return (200, {}, '{"success":true}') if json.loads(request.body)["email"] == "c7@x.io" else (429, {}, "")

    provider.add_callback(responses.POST, TRACK, limit_most)
    people(merchant, 8)
    drain(integration.pk)
    stored = Integration.objects.get()
    assert stored.hold_until and stored.hold_until - timezone.now() < timedelta(seconds=7)
    assert stored.hold_count == 1
    assert set(EventDelivery.objects.values_list("status", "failure_count")) == {("retrying", 0), ("sent", 0)}


def test_a_customer_without_email_is_skipped_without_a_call(integration, merchant, provider):
    (row,) = record(make.activity(merchant, recipient={"customer_id": "c1", "phone": "+919812345678"}))
    drain(integration.pk)
    row.refresh_from_db()
    assert (row.status, row.reason, len(provider.calls)) == ("skipped", "no_identity", 0)
