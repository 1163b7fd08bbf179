from __future__ import annotations

import uuid

import pytest

from events.messages import MESSAGES
from events.payload import activity_fields, business_fields, delivery_fields
from events.tracking import urls
from events.triggers import CATALOGUE

PERSON = {"customer_id": "1", "name": "Asha", "email": "a@example.com", "phone": "+919876543210"}


def test_every_trigger_has_a_message():
    assert set(MESSAGES) == set(CATALOGUE)


@pytest.mark.parametrize("key", CATALOGUE)
def test_a_message_asks_for_nothing_that_the_event_does_not_carry(key):
    business = business_fields("Acme", "https://acme.example", "stars", "INR")
    identifier = uuid.uuid4()
    carried = delivery_fields(activity_fields(business, PERSON, CATALOGUE[key].properties), identifier)
    assert urls(identifier).items() <= carried.items()
    assert MESSAGES[key].names() <= set(carried)


@pytest.mark.parametrize("key", CATALOGUE)
def test_a_message_has_the_merchants_word_and_the_tracked_link(key):
    subject, text = MESSAGES[key].written("stars", lambda name: f"<{name}>")
    assert "<nector_click_url>" in text
    assert "[" not in subject + text and "%(" not in subject + text
    assert "coin" not in (subject + text).replace("<coins>", "").replace("<coin", "")
