"""Events that are as odd as can be, through the outbox to sandboxes that refuse what a provider would refuse or drop."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from events import record
from events.drain import drain
from events.models import EventDelivery
from nectorbridge.sandbox import Sandbox
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db(transaction=True)
ACCOUNTS = {
    "moengage": ({"workspace_id": "TESTWORKSPACE000000000001", "server_prefix": "03"}, {"data_api_key": "k" * 20}),
    "clevertap": ({"account_id": "TEST-000-000-000", "server_prefix": "in1"}, {"private_api_key": "AAA-AAA-AAAA"}),
    "wigzo": ({}, {"org_token": "o" * 22, "api_token": "a" * 22}),
    "mailmodo": ({"list_name": "Nector", "requests_per_second": 50}, {"api_key": "AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD"}),
    "contlo": ({}, {"private_api_key": "0" * 32}),
}
ODD = {
    "": 1,
    " ": "blank",
    "nothing": None,
    "nan": float("nan"),
    "huge": 10**30,
    "tiny": -1e-300,
    "exact": Decimal("12.50"),
    "no": False,
    "zero": 0,
    "when_at": datetime(2026, 11, 30, 5, 30, tzinfo=UTC),
    "naive_at": datetime(2026, 11, 30, 5, 30),  # noqa: DTZ001 - a host may well give one
    "empty_at": "",
    "inside": {"a": {"b": [1, {"c": None}]}, "": 2},
    "list": ["a", None, 1],
    "nobody": [None, float("inf")],
    "half \ud800": "half \ud800 \x00",
    "emoji 🎉 $%.": "🎉" * 400,
    "address": "https://shop.example/" + "x" * 600,
    "k" * 300: "v",
    "moe_secret": 1,
    "transaction_id": "t-1",
    "event_type": "system",
    "token": "t",
    "nector_delivery_id": "not ours",
    "nector_click_url": None,
    **{f"p{number}": number for number in range(120)},
}


@pytest.fixture
def sandbox(settings):
    with Sandbox.running() as running:
        settings.PROVIDER_BASE_URLS = {slug: running.url_of(slug) for slug in ACCOUNTS}
        yield running


MANY = [(slug, name) for slug in ("moengage", "clevertap") for name in ("customer_id", "email", "phone")]
EMAIL = [(slug, "email") for slug in ("wigzo", "mailmodo", "contlo")]


@pytest.mark.parametrize(("slug", "common_property"), [*MANY, *EMAIL])
def test_the_oddest_event_arrives_and_nothing_of_it_is_refused(sandbox, slug, common_property):
    settings, secrets = ACCOUNTS[slug]
    integration = make.integration(provider=slug, common_property=common_property, settings=settings, secrets=secrets)
    make.definition(integration, name="")
    merchant = integration.merchant
    for ref, when in (("cust-1", timezone.now() + timedelta(hours=3)), ("cust-2", datetime(1960, 1, 1, tzinfo=UTC))):
        person = {"customer_id": ref, "email": f" {ref}@Example.com", "phone": "+91 98123-45678", "name": "Ásha \ud800 R"}
        record(make.activity(merchant, ref, recipient=person, properties=ODD, occurred_at=when, key=str(uuid.uuid4())))
    for _turn in range(3):
        drain(integration.pk)
    rows = EventDelivery.objects.all()
    assert {row.status for row in rows} == {"sent"}, [(row.reason, row.detail) for row in rows]
    assert not sandbox.refused(slug), [item.as_dict() for item in sandbox.refused(slug)]
    assert sandbox.deliveries(slug) == {str(row.pk): 1 for row in rows}


def connected(slug: str, **more):
    settings, secrets = ACCOUNTS[slug]
    common_property = "email" if slug in ("wigzo", "mailmodo", "contlo") else "customer_id"
    integration = make.integration(provider=slug, common_property=common_property, settings={**settings, **more}, secrets=secrets)
    make.definition(integration, name="")
    return integration


def send(integration, ref="c1", **changes):
    recipient = {**make.PERSON, "customer_id": ref, **changes}
    (row,) = record(make.activity(integration.merchant, ref, recipient=recipient))
    drain(integration.pk)
    row.refresh_from_db()
    return row


def test_wigzo_is_told_again_who_a_customer_is_when_email_or_phone_changes(sandbox):
    integration = connected("wigzo")
    for changes in ({}, {}, {"phone": "+919800000001"}, {"phone": "+919800000001", "email": "new@example.com"}):
        assert send(integration, **changes).status == "sent"
    arrived = [item.record for item in sandbox.arrived("wigzo")]
    order = ["event" if "eventName" in one else "identify" for one in arrived]
    assert order == ["identify", "event", "event", "identify", "event", "identify", "event"]
    assert len({one["userId"] for one in arrived}) == 1


def test_customers_who_share_an_address_in_other_letters_both_get_their_events(sandbox):
    integration = connected("mailmodo")
    rows = [send(integration, ref, email=email) for ref, email in (("c1", "Asha@Example.com"), ("c2", "asha@example.com"))]
    assert [row.status for row in rows] == ["sent", "sent"] and not sandbox.refused("mailmodo")
    assert {item.record["email"] for item in sandbox.arrived("mailmodo")} == {"asha@example.com"}


@pytest.mark.parametrize(
    ("slug", "person"),
    [
        ("moengage", {"customer_id": "guest"}),
        ("clevertap", {"customer_id": "N/A"}),
        ("wigzo", {"email": "asha@x..io"}),
        ("mailmodo", {"email": ""}),
        ("contlo", {"email": None}),
    ],
)
def test_who_cannot_be_named_is_skipped_and_nobody_is_called(sandbox, slug, person):
    row = send(connected(slug), **person)
    assert (row.status, row.reason) == ("skipped", "no_identity") and not row.attempts.exists()
    assert not sandbox.arrived(slug) and not sandbox.refused(slug)


@pytest.mark.parametrize("slug", ACCOUNTS)
@pytest.mark.parametrize(
    ("status", "body", "outcome", "state"),
    [
        (200, "<html>", "uncertain", "retrying"),
        (302, "", "transient", "retrying"),
        (408, "", "transient", "retrying"),
        (503, "<html>", "transient", "retrying"),
        (404, "<html>", "permanent", "failed"),
        (422, "{}", "permanent", "failed"),
    ],
)
def test_an_answer_means_the_same_whichever_provider_gives_it(sandbox, slug, status, body, outcome, state):
    integration = connected(slug)
    assert send(integration).status == "sent"
    sandbox.fault(slug, "status", status=status, body=body, times=1)
    row = send(integration)
    assert row.status == state, (row.reason, row.detail)
    assert row.attempts.get().outcome == outcome
