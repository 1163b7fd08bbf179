"""One person in the outbox, for hosts of any kind: what is exported, what is forgotten, and where somebody is named."""

from __future__ import annotations

import pytest
from django.utils import timezone

from events import personal
from events.mentions import Words
from events.models import BulkAction, Call, CallbackReceipt, Contact, DeliveryAttempt, Engagement, EventDelivery, Suppression
from events.tests.conftest import deliver
from nectorbridge.testing import make

WORDS = Words({"asha@example.com", "+919876543210", "CUST-10422", "7"}, {"Asha Rao"})


@pytest.fixture
def sent(definition):
    """A delivery that was sent beside somebody else's, in one call."""
    now = timezone.now()
    call = Call.objects.create(
        integration=definition.integration,
        started_at=now,
        ended_at=now,
        lease_until=now,
        records=2,
        request="both",
        response="ok",
    )
    mine = deliver(
        definition, status="sent", call=call, subject="asha@example.com", detail="Asha", destination="https://a.example"
    )
    theirs = deliver(definition, status="sent", call=call, customer_ref="c2", recipient={"email": "other@example.com"})
    for row in (mine, theirs):
        DeliveryAttempt.objects.create(
            delivery=row, call=call, number=1, started_at=now, outcome="accepted", error_message=f"said of {row.customer_ref}"
        )
    Engagement.objects.create(delivery=mine, kind="click", source="link", once="asha-1")
    return mine


def test_an_export_has_tries_and_what_came_back_but_not_what_was_said_of_others(definition, sent):
    Suppression.objects.create(merchant=definition.integration.merchant, customer_ref="c1", kind="complaint")
    found = {name: list(rows) for name, rows in personal.export(definition.integration.merchant_id, ["c1"]).items()}
    (delivery,) = found["deliveries"]
    assert (delivery["recipient"], delivery["provider"]) == (make.PERSON, "clevertap")
    assert [row["error_message"] for row in delivery["attempts"]] == ["said of c1"] and "request" not in delivery["attempts"][0]
    assert [row["kind"] for row in delivery["engagements"]] == ["click"] and len(found["suppressions"]) == 1
    Call.objects.update(records=1)
    (delivery,) = personal.export(definition.integration.merchant_id, ["c1"])["deliveries"]
    assert delivery["attempts"][0]["request"] == "both"


def test_who_is_forgotten_stays_as_a_count(definition, sent):
    merchant = definition.integration.merchant
    Contact.objects.create(integration=definition.integration, customer_ref="c1", recipient=make.PERSON)
    Suppression.objects.create(merchant=merchant, customer_ref="c1", kind="complaint")
    BulkAction.objects.create(merchant=merchant, what="retry", filter={"search": "asha@example.com"}, state="done")

    counts = personal.erase(merchant.pk, ["c1"])

    assert counts == {"deliveries": 1, "attempts": 1, "engagements": 1, "calls": 1, "contacts": 1, "suppressions": 1, "traces": 1}
    sent.refresh_from_db()
    assert (sent.recipient, sent.payload, sent.destination, sent.subject, sent.detail) == ({}, {}, "", "", "")
    assert sent.customer_ref.startswith("erased:") and sent.idempotency_key.startswith("erased:") and sent.status == "sent"
    assert (sent.attempts.get().error_message, sent.engagements.get().once.partition(":")[0]) == ("", "erased")
    assert Call.objects.values_list("request", "response").get() == ("", "")
    other = EventDelivery.objects.get(customer_ref="c2")
    assert other.recipient == {"email": "other@example.com"} and other.attempts.get().error_message == "said of c2"
    assert not Contact.objects.exists() and not Suppression.objects.exists()
    assert personal.erase(merchant.pk, ["c1"]) == {}, "a second time there is nothing to do"


def test_what_a_provider_told_of_them_goes_and_what_it_told_of_others_stays(definition, sent):
    integration = definition.integration
    address = make.PERSON["email"]
    bodies = (f'[{{"email": "{address}"}}]', '[{"email": "other@example.com"}]')
    for number, body in enumerate(bodies):
        CallbackReceipt.objects.create(integration=integration, digest=str(number), body=body, next_try_at=None, state="done")
    elsewhere = make.integration(make.merchant("elsewhere"))
    CallbackReceipt.objects.create(integration=elsewhere, digest="x", body=bodies[0], next_try_at=None, state="done")
    counts = personal.erase(integration.merchant_id, ["c1"])
    assert counts["callbacks"] == 1
    assert sorted(CallbackReceipt.objects.values_list("integration", "body")) == sorted(
        [(integration.pk, bodies[1]), (elsewhere.pk, bodies[0])]
    )


def test_another_merchants_customer_of_the_same_reference_is_somebody_else(definition, sent):
    other = make.definition(make.integration(make.merchant("other")))
    theirs = deliver(other, status="sent")
    personal.erase(definition.integration.merchant_id, ["c1"])
    theirs.refresh_from_db()
    assert (theirs.customer_ref, theirs.recipient) == ("c1", make.PERSON)


def test_what_is_being_sent_is_left_alone_and_said(definition):
    deliver(definition, status="sending")
    deliver(definition)
    with pytest.raises(personal.Busy):
        personal.erase(definition.integration.merchant_id, ["c1"])
    assert sorted(EventDelivery.objects.values_list("status", flat=True)) == ["queued", "sending"]


@pytest.mark.parametrize(
    ("value", "is_named"),
    [
        ("asha@example.com", True),
        ("Write to ASHA@example.com, please.", True),
        ("x.asha@example.com", False),
        ("asha@example.com.au", False),
        ("+919876543210", True),
        ("919876543210", True),
        (919876543210, True),
        ("1919876543210", False),
        ("cust-10422", True),
        ("CUST-104229", False),
        ("7", False),
        ("Asha Rao", False),
        ({"a": [{"b": "to asha@example.com"}]}, True),
        ({"asha@example.com": 1}, True),
        (None, False),
        (True, False),
    ],
)
def test_somebody_is_named_by_what_is_theirs_alone_and_not_by_a_part_of_something_longer(value, is_named):
    assert WORDS.are_in(value) is is_named


def test_names_count_in_what_is_linked_with_somebody_and_as_a_whole_only():
    given = {"friend": "asha rao", "text": "Asha Rao said so", "who": ["CUST-10422", "x"], "asha@example.com": 1}
    assert WORDS.taken_out(given, close=True) == {"friend": "", "text": "Asha Rao said so", "who": ["", "x"]}
    assert WORDS.are("7") and not WORDS.are("8")
