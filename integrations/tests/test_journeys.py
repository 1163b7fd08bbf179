"""What each guide says about the time after connecting: journey, personalisation, launch checklist."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from integrations.providers import all_providers
from integrations.providers.base import LAUNCH_FACTS, Account, Event, Provider

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
PERSON = {"customer_id": "10042", "email": "asha@example.com", "phone": "+919876543210", "name": "Asha Rao"}
PROPERTIES = {
    "nector_delivery_id": "01900000-0000-7000-8000-000000000001",
    "nector_click_url": "https://bridge.example/t/c/x",
    "coins": 120,
    "transaction_id": "8123",
    "event_type": "reward",
    "title": "Order #1042",
    "expires_at": "2027-11-30T00:00:00+00:00",
}
PREFIXES = {"moengage": "01", "clevertap": "in1"}
WITH_GUIDE = [provider for provider in all_providers() if provider.guide.journey.steps]


@pytest.mark.parametrize("provider", WITH_GUIDE, ids=lambda provider: provider.slug)
def test_the_journey_names_the_trigger_and_how_to_write_a_value(provider: Provider):
    journey = provider.guide.journey
    told = " ".join(str(step) % {"event": "EXACT-NAME"} for step in journey.steps)
    assert "EXACT-NAME" in told
    assert journey.snippet or journey.syntax_note
    assert not journey.snippet or "coins" in journey.snippet % {"name": "coins"}


@pytest.mark.parametrize("provider", WITH_GUIDE, ids=lambda provider: provider.slug)
def test_the_launch_checklist_has_each_fact_once_and_lines_for_a_person(provider: Provider):
    keys = [item.key for item in provider.guide.launch]
    facts = [item.fact for item in provider.guide.launch if item.fact]
    assert len(set(keys)) == len(keys)
    assert len(set(facts)) == len(facts) and set(facts) <= LAUNCH_FACTS
    assert len(facts) < len(keys)


@pytest.mark.parametrize("provider", WITH_GUIDE, ids=lambda provider: provider.slug)
def test_a_property_is_named_as_it_is_sent(provider: Provider):
    account = Account({"server_prefix": PREFIXES.get(provider.slug, "")}, {}, provider.identities[0][0])
    event = Event(PROPERTIES["nector_delivery_id"], "Coins", "c1", PERSON, PROPERTIES, NOW)
    packed = provider.pack_events(account, [event], {}, NOW)
    sent = set(re.findall(r'"([\w-]+)":', " ".join(call.request.body.decode() for call in packed.calls)))
    assert set(provider.property_names(PROPERTIES).values()) <= sent
    assert json.loads(packed.calls[0].request.body)


def test_each_provider_renames_what_its_own_names_would_hide():
    renamed = {
        provider.slug: {ours: theirs for ours, theirs in provider.property_names(PROPERTIES).items() if ours != theirs}
        for provider in WITH_GUIDE
        if provider.slug in ("clevertap", "moengage", "contlo")
    }
    assert renamed == {
        "clevertap": {},
        "moengage": {"transaction_id": "nector_transaction_id"},
        "contlo": {"event_type": "nector_event_type"},
    }
