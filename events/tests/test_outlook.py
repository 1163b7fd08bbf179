"""What the pages of an integration and of a delivery say while the provider does not answer."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone

from events.outlook import outlook
from events.tests.conftest import deliver
from integrations.models import Integration


@pytest.fixture
def silence(definition):
    """CleverTap has been silent for four minutes; it is looked at again in three."""
    now = timezone.now()
    until = now + timedelta(minutes=3)
    Integration.objects.update(
        breaker_failures=3, breaker_failing_since=now - timedelta(minutes=4, seconds=5), breaker_until=until
    )
    return until


def page(client, name, pk) -> str:
    return client.get(reverse(f"admin:{name}", args=[pk])).content.decode()


def test_the_set_up_page_says_since_when_when_it_looks_again_and_what_waits(owner, integration, definition, silence):
    deliver(definition, status="queued")
    shown = page(owner, "integrations_integration_change", integration.pk)
    clock = silence.astimezone(ZoneInfo("Asia/Kolkata")).strftime("%H:%M")
    assert "CleverTap has not answered for 4 min" in shown
    assert f"The next look, with one event, is at {clock}." in shown and "1 event waits and uses up no try." in shown
    assert "There is nothing to do" in shown and "Your events are sent within seconds." not in shown


def test_numbers_read_as_people_write_them(integration, definition, silence):
    integration.refresh_from_db()
    for _number in range(3):
        deliver(definition, status="retrying")
    deliver(definition, status="sent")
    assert outlook(integration, timezone.now()).waiting == "3 events wait and use up no try."


def test_nothing_is_said_while_it_answers_or_where_nothing_is_to_be_sent(owner, integration, definition, silence):
    Integration.objects.update(status="paused")
    assert "has not answered" not in page(owner, "integrations_integration_change", integration.pk)
    Integration.objects.update(status="active", breaker_until=None)
    assert "has not answered" not in page(owner, "integrations_integration_change", integration.pk)


def test_a_waiting_delivery_says_what_it_waits_for(owner, definition, silence):
    row = deliver(definition, status="queued", next_attempt_at=timezone.now())
    shown = page(owner, "events_eventdelivery_change", row.pk)
    assert "CleverTap has not answered for 4 min" in shown and "Waiting costs no try." in shown
    assert "A worker takes it within seconds" not in shown
