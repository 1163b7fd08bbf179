"""The callback door, and what becomes of what comes in: tied to a delivery, once, with consent following a no."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import callbacks, retention, statistics_reading
from events.models import CallbackReceipt, Engagement, EventDelivery, Suppression
from events.statistics_reading import Span
from events.tests.conftest import deliver
from integrations.models import Integration
from nectorbridge.testing import make
from nectorbridge.testing.together import at_once

PERSON = {"customer_id": "C-1", "email": "asha@example.com", "phone": "+919876543210", "name": "Asha"}


@pytest.fixture
def sent(definition):
    return deliver(definition, status="sent", sent_at=timezone.now() - timedelta(hours=1), recipient=PERSON)


def address(integration, kind="", token=None):
    return f"/callbacks/{integration.provider}/{token or integration.callback_token}/" + (f"{kind}/" if kind else "")


def post(integration, body, kind="", **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client().post(address(integration, kind), raw, content_type="application/json", headers=headers)


def came(integration, body, kind=""):
    """Send a callback, and have it worked on; return its receipt."""
    assert post(integration, body, kind).status_code == 200
    callbacks.work(integration.pk)
    return CallbackReceipt.objects.filter(integration=integration).latest("pk")


def fate(receipt):
    return receipt.state, receipt.matched, receipt.unmatched, receipt.unknown, receipt.ignored


def kinds():
    return sorted(Engagement.objects.values_list("kind", "source"))


# --- The door -----------------------------------------------------------------------------------------------------------
def test_it_stores_answers_and_works_later(integration, sent):
    answer = post(integration, {"nector_delivery_id": str(sent.pk), "event": "click"})
    assert answer.status_code == 200 and answer.json() == {"stored": True, "repeated": False}
    assert CallbackReceipt.objects.get().state == "waiting" and not Engagement.objects.exists()
    assert callbacks.work(integration.pk) == 1
    assert fate(CallbackReceipt.objects.get()) == ("done", 1, 0, 0, 0) and kinds() == [("click", integration.provider)]


def test_who_is_nobody_gets_the_same_answer(integration):
    wrong = [
        address(integration, token="x" * 32),
        address(integration).replace(integration.provider, "wigzo"),
        address(integration, "nap"),
    ]
    answers = [Client().post(path, b"{}", content_type="application/json") for path in wrong]
    assert [answer.status_code for answer in answers] == [404] * 3 and len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"7", 400), (b"{", 400), (b"{}", 200), (b"[]", 200), (b"[" * 99_999, 400)]
)
def test_bodies(integration, body, status):
    assert post(integration, body).status_code == status


def test_methods_and_sizes(integration):
    assert Client().get(address(integration)).status_code == 405
    assert post(integration, b"[" + b" " * 1_100_000 + b"]").status_code == 413
    assert not CallbackReceipt.objects.exists()


def test_what_cannot_be_stored_is_to_come_again(integration, monkeypatch):
    def broken(*args):
        raise DatabaseError("disk full")

    monkeypatch.setattr(callbacks, "store", broken)
    assert post(integration, {}).status_code == 503


def test_too_many_are_turned_away(integration, settings):
    settings.PUBLIC_REQUESTS_PER_MINUTE = 0.2
    answers = [post(integration, {"n": number}) for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429] and int(answers[-1]["Retry-After"]) > 0


BASIC = "Basic " + base64.b64encode(b"moe:s3cret word").decode()


@pytest.mark.parametrize(
    ("wanted", "headers", "status"),
    [
        ("moe:s3cret word", {"Authorization": BASIC}, 200),
        ("moe:s3cret word", {"Authorization": BASIC.replace("Basic", "basic")}, 200),
        ("moe:s3cret word", {}, 401),
        ("moe:other", {"Authorization": BASIC}, 401),
        ("moe:s3cret word", {"Authorization": "Basic %%%"}, 401),
        ("X-Callback-Key: abc", {"X-Callback-Key": "abc"}, 200),
        ("X-Callback-Key: abc", {"X-Callback-Key": "abd"}, 401),
        ("X-Callback-Key: abc", {}, 401),
        ("a-token", {"Authorization": "Bearer a-token"}, 200),
        ("a-token", {"Authorization": "a-token"}, 200),
        ("a-token", {"Authorization": "Bearer another"}, 401),
        ("X-Callback-Key:", {}, 401),
    ],
)
def test_authentication(integration, wanted, headers, status):
    integration.callback_auth = wanted
    integration.save()
    answer = post(integration, {}, **headers)
    assert answer.status_code == status and wanted.encode() not in answer.content
    assert CallbackReceipt.objects.exists() == (status == 200)


def test_the_authentication_is_kept_encrypted_and_bound_to_its_row(integration):
    integration.callback_auth = "moe:CANARY-AUTH"
    integration.save()
    again = Integration.objects.get(pk=integration.pk)
    assert again.callback_auth == "moe:CANARY-AUTH" and "CANARY" not in repr(vars(again))
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed_callback_auth FROM integrations_integration")
        assert b"CANARY" not in bytes(cursor.fetchone()[0])
    other = make.integration(make.merchant("other"), sealed_callback_auth=again.sealed_callback_auth)
    assert post(other, {}).status_code == 503
    again.callback_auth = ""
    again.save()
    assert Integration.objects.get(pk=integration.pk).callback_auth == "" and post(again, {}).status_code == 200


# --- What becomes of it ---------------------------------------------------------------------------------------------------
def test_a_repeated_body_and_a_repeated_event_count_once(db):
    integration = make.integration(make.merchant(), provider="moengage")
    row = deliver(make.definition(integration), status="sent", sent_at=timezone.now() - timedelta(hours=1), recipient=PERSON)
    event = {"event_code": "MOE_EMAIL_OPEN", "event_uuid": "u-1", "event_time": int(timezone.now().timestamp()), "uid": "C-1"}
    batch = {"source": "MOENGAGE", "moe_request_id": "r-1", "events": [event, event]}
    assert fate(came(integration, batch)) == ("done", 2, 0, 0, 0)
    assert post(integration, batch).json() == {"stored": False, "repeated": True}
    came(integration, batch | {"moe_request_id": "r-2"})
    assert Engagement.objects.count() == 1 and Engagement.objects.get().delivery_id == row.pk
    came(integration, batch | {"events": [event | {"event_uuid": "u-2"}]})
    assert Engagement.objects.count() == 2


def test_one_bad_item_fails_no_batch_and_unknown_words_are_kept(integration, sent):
    body = {
        "events": [
            {"nector_delivery_id": str(sent.pk), "event": "open"},
            7,
            {"nector_delivery_id": [], "event": {"x": 1}},
            {"nector_delivery_id": str(sent.pk), "event": "solar eclipse"},
            {"event": "sent", "email": "nobody@x.example"},
        ]
    }
    assert fate(came(integration, body)) == ("done", 2, 1, 2, 1)
    assert kinds() == [("open", integration.provider), ("unknown", integration.provider)]


def test_another_integrations_delivery_is_not_touched(integration, sent):
    other = make.integration(make.merchant("other"))
    assert fate(came(other, {"nector_delivery_id": str(sent.pk), "event": "click", "email": PERSON["email"]})) == (
        "done",
        0,
        1,
        0,
        0,
    )
    assert not Engagement.objects.exists()


@pytest.mark.parametrize("person", [{"email": "ASHA@example.com"}, {"customer_id": "C-1"}, {"customer_id": "c-1"}])
def test_a_customer_and_a_time_are_enough_where_only_one_delivery_fits(integration, definition, sent, person):
    deliver(definition, status="sent", sent_at=timezone.now() - timedelta(days=9), recipient=PERSON)  # before the window
    deliver(definition, status="failed", recipient=PERSON)
    deliver(definition, status="sent", sent_at=timezone.now(), is_test=True, recipient=PERSON)
    deliver(make.definition(make.integration(integration.merchant)), status="sent", sent_at=timezone.now(), recipient=PERSON)
    assert fate(came(integration, {"event": "open", **person})) == ("done", 1, 0, 0, 0)
    assert Engagement.objects.get().delivery_id == sent.pk


def test_where_several_deliveries_fit_none_is_taken_unless_the_campaign_names_one(integration, definition, sent):
    second = deliver(definition, status="sent", sent_at=timezone.now(), recipient=PERSON, event_name="Coins", customer_ref="c1")
    assert fate(came(integration, {"event": "open", "email": PERSON["email"]})) == ("done", 0, 1, 0, 0)
    assert fate(came(integration, {"event": "open", "email": PERSON["email"], "campaign": "coins"})) == ("done", 1, 0, 0, 0)
    assert Engagement.objects.get().delivery_id == second.pk


def test_a_campaign_that_is_named_after_another_event_is_not_about_this_one(integration, definition, sent):
    make.definition(integration, trigger="coupon_create", name="Coupon")
    assert fate(came(integration, {"event": "open", "email": PERSON["email"], "campaign": "Coupon"})) == ("done", 0, 1, 0, 0)


def test_a_message_that_no_event_of_ours_started_is_not_matched_but_a_no_counts(db):
    integration = make.integration(make.merchant(), provider="moengage", settings={}, secrets={})
    sent_at = timezone.now() - timedelta(hours=1)
    deliver(make.definition(integration), status="sent", sent_at=sent_at, recipient=PERSON)
    attributes = {"campaign_type": "ONE_TIME"}
    codes = ("MOE_EMAIL_OPEN", "MOE_EMAIL_SPAM")
    events = [{"event_code": code, "uid": "C-1", "event_uuid": code, "event_attributes": attributes} for code in codes]
    assert fate(came(integration, {"events": events})) == ("done", 0, 2, 0, 0)
    assert not Engagement.objects.exists() and Suppression.objects.get().kind == "complaint"


def test_the_same_body_a_day_later_is_another_happening(integration, sent):
    body = {"nector_delivery_id": str(sent.pk), "event": "open"}
    came(integration, body)
    assert post(integration, body).json()["repeated"]
    CallbackReceipt.objects.update(received_at=timezone.now() - timedelta(hours=25))
    came(integration, body)
    assert Engagement.objects.count() == 2 and CallbackReceipt.objects.count() == 1
    callbacks.RECEIPTS.run_again(CallbackReceipt.objects.all())
    callbacks.work(integration.pk)
    assert Engagement.objects.count() == 2


def test_what_came_before_it_was_sent_does_not_fit(integration, sent):
    early = (timezone.now() - timedelta(hours=3)).isoformat()
    assert fate(came(integration, {"event": "open", "email": PERSON["email"], "occurred_at": early})) == ("done", 0, 1, 0, 0)


def test_a_time_to_come_is_now(integration, sent):
    came(integration, {"event": "open", "nector_delivery_id": str(sent.pk), "occurred_at": "2090-01-01T00:00:00Z"})
    assert abs(Engagement.objects.get().occurred_at - timezone.now()) < timedelta(minutes=1)


@pytest.mark.parametrize("kind", ["unsubscribe", "complaint"])
@pytest.mark.parametrize("by", ["delivery", "customer"])
def test_a_no_suppresses_and_withdraws_once(integration, definition, sent, kind, by, monkeypatch):
    waiting = deliver(definition, recipient=PERSON)
    deliver(definition, status="sent", sent_at=timezone.now() - timedelta(minutes=1), recipient=PERSON)
    noes = []
    real = callbacks.suppression.said_no
    monkeypatch.setattr(callbacks.suppression, "said_no", lambda *args: (noes.extend(args[1]), real(*args)))
    body = {"event": kind, "id": "e-1"} | (
        {"nector_delivery_id": str(sent.pk)} if by == "delivery" else {"email": PERSON["email"]}
    )
    receipt = came(integration, body)
    assert receipt.matched == (by == "delivery")
    assert Suppression.objects.get().kind == kind and len(noes) == 1
    waiting.refresh_from_db()
    assert (waiting.status, waiting.reason) == ("skipped", "suppressed")
    callbacks.RECEIPTS.run_again(CallbackReceipt.objects.all())
    callbacks.work(integration.pk)
    assert Engagement.objects.count() == (by == "delivery")
    assert len(noes) == (1 if by == "delivery" else 2) and Suppression.objects.count() == 1


def test_a_test_ping_is_told_as_one(db):
    integration = make.integration(make.merchant(), provider="clevertap")
    ping = {
        "is_test": True,
        "targetId": 1234,
        "key_values": {"key": "value"},
        "profiles": [{"Identity": "UserId", "Email": "e"}] * 5,
    }
    receipt = came(integration, ping)
    assert fate(receipt) == ("done", 0, 0, 0, 1) and "test" in receipt.detail.lower()


def test_it_shows_in_the_statistics(integration, sent):
    came(integration, {"nector_delivery_id": str(sent.pk), "event": "open"})
    came(integration, {"nector_delivery_id": str(sent.pk), "event": "bounce"})
    until = timezone.now() + timedelta(hours=1)
    (found,) = statistics_reading.count([Span(until - timedelta(days=1), until)], [integration.merchant_id])
    assert {name: found[name] for name in ("open", "open_first", "bounce", "sent")} == {
        "open": 1,
        "open_first": 1,
        "bounce": 1,
        "sent": 1,
    }


def test_a_batch_of_a_thousand_takes_few_statements(db):
    integration = make.integration(make.merchant(), provider="moengage")
    definition = make.definition(integration)
    now = timezone.now()
    rows = [
        EventDelivery(
            definition=definition,
            integration=integration,
            merchant=integration.merchant,
            trigger="t",
            event_name="e",
            customer_ref=str(number),
            idempotency_key=str(number),
            occurred_at=now,
            status="sent",
            sent_at=now,
            recipient={"customer_id": f"K-{number}", "email": f"k{number}@example.com"},
        )
        for number in range(1000)
    ]
    EventDelivery.objects.bulk_create(rows)
    events = [{"event_code": "MOE_EMAIL_OPEN", "event_uuid": str(uuid.uuid4()), "uid": f"K-{number}"} for number in range(1000)]
    post(integration, {"events": events})
    with CaptureQueriesContext(connection) as caught:
        callbacks.work(integration.pk)
    assert Engagement.objects.count() == 1000 and len(caught) < 30


def test_what_our_own_code_fails_on_is_tried_again_and_then_given_up(integration, monkeypatch, caplog):
    post(integration, {"event": "open"})
    post(integration, {"event": "click"})
    contract = type(integration.contract)
    real = contract.parse_callback

    def broken(self, kind, body):
        if body["event"] == "open":
            raise RuntimeError("CANARY")
        return real(self, kind, body)

    monkeypatch.setattr(contract, "parse_callback", broken)
    for _number in range(5):
        CallbackReceipt.objects.filter(next_try_at__isnull=False).update(next_try_at=timezone.now())
        callbacks.work(integration.pk)
    first, second = CallbackReceipt.objects.order_by("pk")
    assert (first.state, first.tries, first.next_try_at) == ("failed", 3, None) and second.state == "done"
    assert "CANARY" not in first.detail and callbacks.ring_for_due() == 0


def test_what_waits_is_rung_for(integration):
    post(integration, {})
    assert callbacks.ring_for_due() == 1


def test_they_are_purged_with_the_payloads(integration, settings):
    settings.RETENTION_PAYLOAD_DAYS = 10
    came(integration, {"event": "open"})
    waiting = CallbackReceipt.objects.create(integration=integration, digest="x", body="{}")
    CallbackReceipt.objects.update(received_at=timezone.now() - timedelta(days=11))
    assert retention.preview()["callbacks"] == 1
    assert dict(retention.batches())["callbacks"] == 1 and CallbackReceipt.objects.get() == waiting


VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(
        st.sampled_from(["event", "nector_delivery_id", "email", "events", "profiles", "triggerData", "id"]), VALUES
    ),
    raw=st.binary(max_size=60),
)
def test_no_body_makes_an_error_of_ours(integration, body, raw):
    for sent_body in (json.dumps(body).encode(), raw):
        assert post(integration, sent_body).status_code in (200, 400)
    callbacks.work(integration.pk)
    assert not CallbackReceipt.objects.filter(detail__contains="Our own code").exists()


def test_ones_reference_here_is_not_taken_for_anothers_customer_id(db, settings):
    settings.NECTORBRIDGE_HOST = ""
    integration = make.integration(make.merchant("shop"), provider="moengage", settings={}, secrets={})
    person = {"customer_id": "900", "email": "x@example.com"}
    row = {"status": "sent", "sent_at": timezone.now() - timedelta(hours=1), "customer_ref": "7", "recipient": person}
    deliver(make.definition(integration), **row)
    codes = [("MOE_EMAIL_OPEN", "900"), ("MOE_EMAIL_UNSUBSCRIBE", "7")]
    events = [{"event_code": code, "uid": uid, "event_uuid": uid} for code, uid in codes]
    assert fate(came(integration, {"events": events})) == ("done", 1, 1, 0, 0)
    assert kinds() == [("open", "moengage")] and not Suppression.objects.exists()


@pytest.mark.parametrize("written", ["aB1xYz", "ab1xyz", "AB1XYZ"])
def test_customer_ids_may_have_small_and_capital_letters(integration, definition, written):
    for own_id, ref in (("aB1xYz", "c1"), ("ab1xyz", "c2")):
        row = {"status": "sent", "sent_at": timezone.now() - timedelta(hours=1), "customer_ref": ref}
        deliver(definition, recipient={"customer_id": own_id}, **row)
    receipt = came(integration, {"event": "open", "customer_id": written})
    expected = {"aB1xYz": ["c1"], "ab1xyz": ["c2"], "AB1XYZ": ["c2"]}  # as it is written; else in small letters
    assert list(Engagement.objects.values_list("delivery__customer_ref", flat=True)) == expected[written], fate(receipt)


@pytest.mark.django_db(transaction=True)
def test_many_at_the_door_at_once_are_each_stored_once(integration):
    told: list[bool] = []

    def tell(number):
        body = json.dumps({"id": f"e-{number % 40}", "event": "open"}).encode()
        told.append(Client().post(address(integration), body, content_type="application/json").json()["stored"])

    at_once(tell, range(80))
    assert CallbackReceipt.objects.count() == 40 and sorted(told) == [False] * 40 + [True] * 40
