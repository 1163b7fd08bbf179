"""The door for webhooks: who may come in, what is stored, what is a repetition; and that no body breaks it."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.models import Merchant
from nectorbridge.loyalty.models import DoorRefusal, WebhookReceipt
from nectorbridge.loyalty.nector import door, values
from nectorbridge.testing.together import at_once

SECRET = "CANARY-webhook-secret"
BODY = {
    "business_name": "Shop",
    "amount": 50,
    "operation": "cr",
    "_id": "t1",
    "customer": {"id": "shopify-7", "email": "a@b.example"},
}


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    """The tasks that were asked for, which nobody runs here."""
    asked = []
    monkeypatch.setattr("events.bell.async_task", lambda task, *args, **_kwargs: asked.append((task, *args)))
    return asked


@pytest.fixture
def open_shop(shop):
    shop.nector_webhook_secret = SECRET
    shop.save()
    return shop


def mac(raw, key=SECRET):
    return hmac.new(key.encode(), raw, hashlib.sha256).hexdigest()


def post(merchant, body=BODY, secret=SECRET, token=None, topic="walletreward_create", delivery="d1", **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {
        "x-nector-webhook-secret": hashlib.sha256(secret.encode()).hexdigest(),
        "x-nector-topic": topic,
        "x-nector-delivery-id": delivery,
        "x-source": "unix",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    address = reverse("loyalty:nector_webhook", args=[token or merchant.nector_webhook_token])
    return Client().post(address, raw, content_type="application/json", headers={k: v for k, v in given.items() if v is not None})


# --- Who may come in -------------------------------------------------------------------------------------------------------
def test_what_comes_with_the_hashed_secret_is_stored_and_rung_for_once(open_shop, rung, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        first = post(open_shop, x_nector_timestamp="1763000000")
    with django_capture_on_commit_callbacks(execute=True):
        second = post(open_shop, {**BODY, "_id": "t2"}, delivery="d2")
    assert first.status_code == second.status_code == 200 and first.json() == {"stored": True, "repeated": False}
    receipt = WebhookReceipt.objects.earliest("id")
    assert (receipt.topic, receipt.delivery_id, receipt.body, receipt.source) == ("walletreward_create", "d1", BODY, "unix")
    assert receipt.sent_at == datetime.fromtimestamp(1763000000, UTC) and receipt.state == "waiting"
    assert rung == [("nectorbridge.loyalty.tasks.work_on_webhooks", open_shop.pk)]


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda text: f"  {text} "])
def test_the_hash_is_taken_in_any_case(open_shop, change):
    hashed = change(hashlib.sha256(SECRET.encode()).hexdigest())
    assert post(open_shop, x_nector_webhook_secret=hashed).status_code == 200


@pytest.mark.parametrize("header", [None, "", "0" * 64, SECRET, "é" * 64, hashlib.sha256(b"").hexdigest()])
def test_whoever_has_no_secret_or_a_wrong_one_is_counted_and_nothing_of_it_is_kept(open_shop, header):
    for _ in range(2):
        assert post(open_shop, x_nector_webhook_secret=header).status_code == 401
    assert not WebhookReceipt.objects.exists()
    assert list(DoorRefusal.objects.values_list("reason", "count")) == [("secret", 2)]


def test_a_merchant_without_a_secret_lets_nobody_in(shop):
    assert post(shop, secret="").status_code == 401
    assert DoorRefusal.objects.get().reason == "no_secret"


def test_while_a_secret_is_replaced_both_are_valid_and_then_one(open_shop):
    open_shop.nector_webhook_secret = "the next one"
    open_shop.save()
    open_shop = Merchant.objects.get(pk=open_shop.pk)
    assert open_shop.nector_webhook_secret == "the next one" and len(open_shop.nector_secrets) == 2
    assert post(open_shop).status_code == post(open_shop, {"n": 1}, "the next one", delivery="d2").status_code == 200
    open_shop.nector_secrets = dict(list(open_shop.nector_secrets.items())[-1:])
    open_shop.save()
    assert post(open_shop, delivery="d3").status_code == 401
    assert SECRET not in repr(open_shop.nector_secrets)


def test_secrets_are_bound_to_their_merchant_and_stored_encrypted(open_shop, db):
    other = Merchant.objects.create(name="Other", slug="other")
    Merchant.objects.filter(pk=other.pk).update(sealed_nector_secrets=Merchant.objects.get(pk=open_shop.pk).sealed_nector_secrets)
    assert post(Merchant.objects.get(pk=other.pk)).status_code == 503
    made = Merchant.objects.create(name="Third", slug="third", nector_webhook_secret="at once", nector_webhook_token="own-token")
    assert post(made, secret="at once", token="own-token").status_code == 200


def test_other_methods_and_addresses_are_refused(open_shop):
    assert Client().get(reverse("loyalty:nector_webhook", args=[open_shop.nector_webhook_token])).status_code == 405
    assert post(open_shop, token="nobodys").status_code == 404


@pytest.mark.parametrize("raw", [b"", b"[]", b'"text"', b"{", b"\xff\xfe{}", b'{"a":' * 100 + b"1" + b"}" * 100, b'{"a": NaN}'])
def test_what_is_no_json_object_is_refused(open_shop, raw):
    assert post(open_shop, raw).status_code == 400
    assert DoorRefusal.objects.get().reason == "unreadable" and not WebhookReceipt.objects.exists()


def test_what_is_too_large_is_refused(open_shop, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert post(open_shop, {"text": "x" * 2000}).status_code == 413
    assert DoorRefusal.objects.get().reason == "too_large"


def test_what_cannot_be_stored_is_sent_again(open_shop, monkeypatch):
    def gone(*_args):
        raise DatabaseError("SECRET of the database")

    monkeypatch.setattr(door.inbox, "store", gone)
    answer = post(open_shop)
    assert answer.status_code == 503 and b"SECRET" not in answer.content


# --- The HMAC --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mode", "key", "status", "noted"),
    [
        ("off", "wrong", 200, "off"),
        ("report", None, 200, "absent"),
        ("report", "wrong", 200, "wrong"),
        ("report", SECRET, 200, "valid"),
        ("report", hashlib.sha256(SECRET.encode()).hexdigest(), 200, "hashed_key"),
        ("enforce", SECRET, 200, "valid"),
        ("enforce", None, 401, None),
        ("enforce", "wrong", 401, None),
        ("enforce", hashlib.sha256(SECRET.encode()).hexdigest(), 401, None),  # whoever saw one request could make it
    ],
)
def test_the_hmac_is_reported_or_enforced(open_shop, mode, key, status, noted):
    Merchant.objects.filter(pk=open_shop.pk).update(nector_hmac_mode=mode)
    raw = json.dumps(BODY).encode()
    sent = mac(raw, key) if key else None
    assert post(open_shop, raw, x_nector_webhook_hmac=sent).status_code == status
    if noted:
        assert WebhookReceipt.objects.get().hmac == noted
    else:
        assert DoorRefusal.objects.get().reason == "hmac"


def test_it_is_reported_by_default(db):
    assert Merchant.objects.create(name="New", slug="new").nector_hmac_mode == "report"


# --- Repetitions -----------------------------------------------------------------------------------------------------------
def test_the_same_delivery_id_is_stored_once_also_with_another_body(open_shop):
    assert post(open_shop).json()["stored"] is True
    for body in (BODY, {**BODY, "amount": 60}):
        answer = post(open_shop, body)
        assert answer.status_code == 200 and answer.json()["repeated"] is True
    assert WebhookReceipt.objects.count() == 1


def test_the_same_content_under_another_id_is_stored_once_whatever_the_order_of_its_keys(open_shop):
    post(open_shop)
    assert post(open_shop, dict(reversed(BODY.items())), delivery="d2").json()["repeated"] is True
    assert post(open_shop, delivery=None).json()["repeated"] is True
    assert post(open_shop, topic="wallettrasaction_update", delivery="d3").json()["stored"] is True


def test_a_day_later_the_same_words_are_another_reminder(open_shop):
    body = {"customer": {"id": "shopify-7"}}
    for number in range(3):
        answer = post(open_shop, body, topic="unusedwalletcoinrequest_create", delivery=f"d{number}")
        assert answer.json()["stored"] is True
        again = post(open_shop, body, topic="unusedwalletcoinrequest_create", delivery=f"again{number}")
        assert again.json()["repeated"] is True
        WebhookReceipt.objects.update(received_at=timezone.now() - timedelta(hours=25))
    assert list(WebhookReceipt.objects.order_by("id").values_list("content_number", flat=True)) == [1, 2, 3]


def test_another_merchants_webhooks_are_no_repetitions(open_shop):
    other = Merchant.objects.create(name="Other", slug="other", nector_webhook_secret=SECRET)
    assert post(open_shop).json()["stored"] and post(other).json()["stored"]


# --- A platform of the merchant's own --------------------------------------------------------------------------------------
OWN = {"topic": "walletreward_create", "id": "evt-1", "sent_at": "2026-11-25T10:00:00+05:30", "source": "pos"}


def post_own(merchant, body, signature=None):
    raw = json.dumps(body).encode()
    address = reverse("loyalty:nector_webhook", args=[merchant.nector_webhook_token])
    signed = f"sha256={mac(raw)}" if signature is None else signature
    return Client().post(address, raw, content_type="application/json", headers={"x-nectorbridge-signature": signed})


def test_a_platform_of_ones_own_signs_and_names_topic_and_id_in_the_body(open_shop):
    body = {**OWN, "customer": {"id": "7"}, "data": {"amount": 5}}
    assert post_own(open_shop, body).json()["stored"] is True
    assert post_own(open_shop, {**body, "data": {"amount": 6}}).json()["repeated"] is True, "its own ID says what is the same"
    assert post_own(open_shop, {**body, "id": "evt-2"}).json()["stored"] is True, "and what is not"
    receipt = WebhookReceipt.objects.earliest("id")
    assert (receipt.topic, receipt.delivery_id, receipt.source, receipt.hmac) == ("walletreward_create", "evt-1", "pos", "valid")
    assert receipt.sent_at == datetime(2026, 11, 25, 4, 30, tzinfo=UTC)


@pytest.mark.parametrize(("body", "signature", "status"), [(OWN, "0" * 64, 401), (OWN, "", 401), ({"topic": "x"}, None, 400)])
def test_without_a_right_signature_or_an_id_it_is_refused(open_shop, body, signature, status):
    assert post_own(open_shop, body, signature).status_code == status and not WebhookReceipt.objects.exists()


# --- Times and fuzz ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["1763000000", "1763000000000", "1763000000.0", " 1763000000 ", "2025-11-13T02:13:20+00:00"])
def test_a_timestamp_is_read_in_seconds_and_milliseconds(text):
    assert values.moment(text) == datetime.fromtimestamp(1763000000, UTC)


@pytest.mark.parametrize(
    "text", ["", "soon", "-5", "0", "nan", "inf", "1e400", "9" * 30, "2025-11-13T02:13:20", "0001-01-01T00:00:00+23:59"]
)
def test_what_is_no_time_is_none(text):
    assert values.moment(text) is None


def test_a_time_without_a_zone_is_one_where_it_is_said_whose():
    assert values.moment("2025-11-13T02:13:20", UTC) == datetime.fromtimestamp(1763000000, UTC)


@pytest.mark.django_db
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    topic=st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=150),
    stamp=st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=40),
)
def test_no_body_and_no_header_breaks_it(open_shop, raw, topic, stamp):
    answer = post(open_shop, raw, topic=topic, delivery=hashlib.sha256(raw).hexdigest(), x_nector_timestamp=stamp)
    assert answer.status_code in (200, 400)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_are_each_stored_once_whether_by_id_or_by_content(shop):
    shop.nector_webhook_secret = SECRET
    shop.save()
    told = []

    def send(number):
        body = {**BODY, "_id": f"tx-{number % 30}"}
        delivery = f"d-{number % 30}" if number % 2 else f"another-{number}"
        told.append(post(shop, body, delivery=delivery).json()["stored"])

    at_once(send, range(90))
    assert WebhookReceipt.objects.count() == 30 and sorted(told) == [False] * 60 + [True] * 30
