"""How often what may have arrived is sent again: as the event says, on every path. HTTP by `responses`."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
import responses
from django.utils import timezone

from events import record, record_many
from events.drain import drain
from events.models import Call, EventDelivery
from events.sweep import sweep
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
READ_TIMEOUT = requests.ReadTimeout("x")


@pytest.fixture
def definition():
    return make.definition()


@pytest.fixture
def provider():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def try_until_over(definition, row, most=20) -> int:
    """Drain until the delivery is over. Returns how many tries it took."""
    for number in range(1, most + 1):
        drain(definition.integration_id)
        row.refresh_from_db()
        if row.status not in ("queued", "retrying"):
            return number
        EventDelivery.objects.update(next_attempt_at=timezone.now())
    return 0


@pytest.mark.parametrize(("of_event", "of_installation", "tries"), [(None, 2, 3), (None, 0, 1), (0, 2, 1), (1, 5, 2), (4, 0, 5)])
def test_the_events_own_number_counts_else_the_installations(definition, provider, settings, of_event, of_installation, tries):
    settings.DELIVERY_UNCERTAIN_RESENDS, settings.DELIVERY_BREAKER_FAILURES = of_installation, 1000
    definition.uncertain_resends = of_event
    definition.save()
    provider.add(responses.POST, make.UPLOAD, body=READ_TIMEOUT)
    (row,) = record(make.activity(definition.integration.merchant))
    assert try_until_over(definition, row) == tries
    assert (row.status, row.reason, row.uncertain_count, len(provider.calls)) == ("failed", "uncertain", tries, tries)


def test_in_one_call_each_event_keeps_its_own_number(definition, provider):
    once = make.definition(definition.integration, trigger="coupon_create", name="Once", uncertain_resends=0)
    merchant = definition.integration.merchant
    rows = record_many([make.activity(merchant), make.activity(merchant, trigger="coupon_create")])
    provider.add(responses.POST, make.UPLOAD, body=READ_TIMEOUT)
    drain(definition.integration_id)
    assert len(provider.calls) == 1
    states = {row.definition_id: row.status for row in EventDelivery.objects.filter(pk__in=[row.pk for row in rows])}
    assert states == {definition.pk: "retrying", once.pk: "failed"}


def test_a_call_whose_worker_died_counts_the_same(definition):
    """A worker is killed while its call is under way: the sweep writes what nobody knows."""
    definition.uncertain_resends = 0
    definition.save()
    (row,) = record(make.activity(definition.integration.merchant))
    past = timezone.now() - timedelta(minutes=5)
    call = Call.objects.create(integration=definition.integration, started_at=past, lease_until=past)
    lost = {"status": "sending", "lease_owner": "x", "lease_until": past, "call": call, "attempt_count": 1}
    EventDelivery.objects.update(**lost)
    sweep()
    row.refresh_from_db()
    assert (row.status, row.reason, row.next_attempt_at) == ("failed", "uncertain", None)
    assert row.attempts.get().outcome == "uncertain" and drain(definition.integration_id) == 0


def test_other_failures_do_not_touch_this_budget(definition, provider, settings):
    settings.DELIVERY_RETRY_STEPS = [0.0, 0.0, 0.0]
    definition.uncertain_resends = 0
    definition.save()
    for status in (500, 503):
        provider.add(responses.POST, make.UPLOAD, status=status)
    provider.add(responses.POST, make.UPLOAD, json={"status": "success", "processed": 1, "unprocessed": []})
    (row,) = record(make.activity(definition.integration.merchant))
    try_until_over(definition, row)
    assert (row.status, row.attempt_count, row.failure_count, row.uncertain_count) == ("sent", 3, 2, 0)


def test_a_smaller_number_withdraws_resends_that_are_planned_or_held(definition, provider):
    rows = [record(make.activity(definition.integration.merchant, person=f"c{n}"))[0] for n in range(4)]
    other = make.definition(definition.integration, trigger="coupon_create", name="Other")
    (foreign,) = record(make.activity(definition.integration.merchant, trigger="coupon_create"))
    for row, status, uncertain in zip(
        [*rows, foreign], ["retrying", "held", "retrying", "sent", "retrying"], [1, 1, 0, 1, 1], strict=True
    ):
        EventDelivery.objects.filter(pk=row.pk).update(status=status, uncertain_count=uncertain, attempt_count=1)
    definition.uncertain_resends = 0
    definition.save()
    states = [EventDelivery.objects.get(pk=row.pk).status for row in [*rows, foreign]]
    assert states == ["failed", "failed", "retrying", "sent", "retrying"]
    assert EventDelivery.objects.get(pk=rows[0].pk).reason == "uncertain" and other.uncertain_resends is None
