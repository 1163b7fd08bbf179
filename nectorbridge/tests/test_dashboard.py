from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events import retention, statistics
from events.identifiers import first_id_at
from events.models import DeliveryAttempt, Engagement, EventDelivery, Worker
from integrations.models import Integration, Membership
from nectorbridge.testing import make

HOME = reverse("admin:index")
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def staff(merchant=None, **values) -> Client:
    user = get_user_model().objects.create_user(f"user{uuid.uuid4().hex}", is_staff=True, **values)
    if merchant:
        Membership.objects.create(merchant=merchant, user=user)
    client = Client()
    client.force_login(user)
    return client


def deliver(definition, at, status="sent", **values):
    integration = definition.integration
    key = uuid.uuid4()
    return EventDelivery.objects.create(
        id=uuid.UUID(int=first_id_at(at).int + key.int % 2**60),
        definition=definition,
        integration=integration,
        merchant=integration.merchant,
        customer_ref="c1",
        idempotency_key=str(key),
        status=status,
        occurred_at=at,
        created_at=at,
        sent_at=at if status == "sent" else None,
        **values,
    )


@pytest.fixture
def definition(db):
    return make.definition(make.integration(make.merchant(timezone="Asia/Kolkata")))


def numbers(client, period="7"):
    return {tile.label: int(tile.text.replace(",", "")) for tile in client.get(HOME, {"period": period}).context["tiles"]}


@time_machine.travel(NOON, tick=False)
def test_tiles_count_each_state_in_the_period_without_tests(definition):
    for status, count in {
        "sent": 3,
        "queued": 1,
        "retrying": 1,
        "sending": 1,
        "held": 2,
        "failed": 2,
        "skipped": 1,
        "cancelled": 1,
    }.items():
        for _number in range(count):
            deliver(definition, NOON - timedelta(hours=1), status)
    deliver(definition, NOON, is_test=True)
    deliver(definition, NOON - timedelta(days=8))
    client = staff(definition.integration.merchant)
    assert numbers(client) == {"Sent": 3, "Unique opens": 0, "Unique clicks": 0, "Needs attention": 2}
    beside = [aside.text for aside in client.get(HOME).context["asides"]]
    assert beside[0].startswith("5 on their way") and beside[1].startswith("1 left out")
    assert numbers(client, "30")["Sent"] == 4


@time_machine.travel(NOON, tick=False)
def test_each_number_leads_to_exactly_its_rows(definition):
    for status in ("sent", "queued", "held", "failed", "skipped"):
        deliver(definition, NOON - timedelta(days=1), status)
    deliver(definition, NOON - timedelta(days=20), "failed")
    client = staff(definition.integration.merchant)
    context = client.get(HOME).context
    for tile in (context["tiles"][0], context["tiles"][3]):
        assert client.get(tile.url).context["cl"].result_count == int(tile.text)
    for aside in context["asides"]:
        assert client.get(aside.url).context["cl"].result_count == int(aside.text.partition(" ")[0])


@time_machine.travel(NOON, tick=False)
def test_days_are_those_of_the_merchant(definition):
    deliver(definition, datetime(2026, 3, 9, 18, 29, tzinfo=UTC))  # 23:59 in Kolkata
    deliver(definition, datetime(2026, 3, 9, 18, 31, tzinfo=UTC))  # 00:01 of the 10th
    client = staff(definition.integration.merchant)
    rows = client.get(HOME).context["chart"].rows
    assert rows[-2:] == [["9 Mar", 1, 0, 0], ["10 Mar", 1, 0, 0]]
    assert numbers(client, "today")["Sent"] == 1


def test_failures_are_grouped_by_their_last_error(definition):
    for said in ("Discarded", "Discarded", "Too long"):
        row = deliver(definition, timezone.now(), "failed", reason="refused", event_name=definition.name)
        for number, message in enumerate(("earlier", said), 1):
            DeliveryAttempt.objects.create(
                delivery=row, number=number, started_at=timezone.now(), outcome="permanent", error_message=message
            )
    client = staff(definition.integration.merchant)
    found = client.get(HOME).context["troubles"]
    assert [trouble.text.split(".")[0] for trouble in found] == ["Discarded", "Too long"]
    assert "2 events failed" in found[0].title and "status__exact=failed" in found[0].url
    assert len(found[0].samples) == 2 and found[0].samples[0].text.startswith(definition.name)
    assert client.get(found[0].samples[0].url).status_code == 200


def test_samples_are_ten_at_most(definition):
    for _number in range(12):
        deliver(definition, timezone.now(), "failed", reason="refused")
    (found,) = staff(definition.integration.merchant).get(HOME).context["troubles"]
    assert len(found.samples) == 10


@time_machine.travel(NOON, tick=False)
def test_opens_and_clicks_are_on_the_first_page_with_the_change_against_the_period_before(definition):
    row = deliver(definition, NOON - timedelta(days=9))
    deliver(definition, NOON - timedelta(days=1))
    deliver(definition, NOON - timedelta(days=1))
    for kind, days in (("open", 8), ("open", 1), ("click", 1)):
        Engagement.objects.create(delivery=row, kind=kind, source="link", occurred_at=NOON - timedelta(days=days))
    Engagement.objects.create(delivery=row, kind="click", source="link", occurred_at=NOON - timedelta(hours=2), is_machine=True)
    context = staff(definition.integration.merchant).get(HOME).context
    tiles = {tile.label: tile for tile in context["tiles"]}
    assert [tile.text for tile in tiles.values()] == ["2", "0", "1", "0"]
    assert tiles["Sent"].change == "+100 % against 1 in the period before"
    assert tiles["Unique opens"].change == "-100 % against 1 in the period before"
    assert tiles["Unique clicks"].hint == "50.0 % of what was sent"
    assert tiles["Needs attention"].hint == "Nothing failed."
    assert context["chart"].head == ["day", "Sent", "Unique opens", "Unique clicks"]
    assert context["chart"].rows[-2] == ["9 Mar", 2, 0, 1]


def test_an_integration_in_attention_comes_first_with_its_fix(definition):
    integration = definition.integration
    integration.status, integration.status_reason, integration.status_fix = "attention", "Refused (401).", "Copy the Passcode."
    integration.save()
    context = staff(integration.merchant).get(HOME).context
    assert context["troubles"][0].text == "Refused (401). Copy the Passcode."
    assert context["integrations"][0].word == "Needs attention"


@pytest.mark.parametrize(
    ("values", "word"),
    [({"status": "active"}, "Healthy"), ({"status": "paused"}, "Paused"), ({"status": "draft"}, "Not connected")],
)
def test_each_integration_has_a_word(definition, values, word):
    type(definition.integration).objects.update(**values)
    assert staff(definition.integration.merchant).get(HOME).context["integrations"][0].word == word


def test_rows_that_wait_long_are_said(definition):
    deliver(definition, timezone.now() - timedelta(minutes=20), "queued")
    card = staff(definition.integration.merchant).get(HOME).context["integrations"][0]
    assert (card.word, card.oldest_waiting) == ("Waiting", "20 min")


def test_other_merchants_are_not_counted(definition):
    deliver(definition, timezone.now())
    deliver(definition, timezone.now(), "failed")
    answer = staff(make.merchant("other")).get(HOME)
    assert answer.context["is_new"] and not answer.context["troubles"] and not answer.context["integrations"]
    assert all(tile.text == "0" for tile in answer.context["tiles"])


def test_staff_without_a_merchant_learn_who_helps(db):
    assert "You belong to no merchant yet" in staff().get(HOME).content.decode()


def test_administrators_see_whether_a_worker_is_alive(db):
    client = staff(is_superuser=True)
    assert "Start one: manage.py worker" in client.get(HOME).content.decode()
    Worker.objects.create(name="w", canary_at=timezone.now())
    assert "A worker is running" in client.get(HOME).content.decode()
    Worker.objects.update(canary_at=timezone.now() - timedelta(minutes=1))
    assert "Start one" in client.get(HOME).content.decode()


def test_home_needs_few_queries_however_much_there_is(definition):
    merchant = definition.integration.merchant
    for _number in range(20):
        row = deliver(make.definition(make.integration(merchant)), timezone.now(), "failed")
        DeliveryAttempt.objects.create(delivery=row, number=1, started_at=timezone.now(), outcome="permanent")
    client = staff(merchant)
    with CaptureQueriesContext(connection) as captured:
        client.get(HOME)
    assert sum("events_" in query["sql"] for query in captured) <= 9


@pytest.mark.parametrize("status", ["paused", "attention"])
def test_a_merchant_that_is_held_up_is_not_sent_back_to_the_start(definition, status):
    deliver(definition, timezone.now())
    definition.integration.__class__.objects.update(status=status)
    assert not staff(definition.integration.merchant).get(HOME).context["guides"]


def test_a_test_event_is_no_success_of_the_integration_and_no_number(definition):
    deliver(definition, timezone.now() - timedelta(minutes=1), is_test=True)
    context = staff(definition.integration.merchant).get(HOME).context
    assert [card.last_success for card in context["integrations"]] == [None]
    assert {tile.text for tile in context["tiles"]} == {"0"}


def test_of_many_failures_the_newest_are_grouped_and_said_to_be_more(definition, monkeypatch):
    monkeypatch.setattr("nectorbridge.dashboard.health.MOST_FAILURES", 2)
    for number in range(3):
        deliver(definition, timezone.now() - timedelta(minutes=number), "failed", reason="refused")
    for client in (staff(definition.integration.merchant), staff(is_superuser=True)):
        (found,) = client.get(HOME).context["troubles"]
        assert "2 or more events failed" in found.title


def test_a_merchant_with_many_failures_hides_no_other_merchants_from_an_administrator(definition, monkeypatch):
    monkeypatch.setattr("nectorbridge.dashboard.health.MOST_FAILURES", 4)
    other = make.definition(make.integration(make.merchant("second")))
    for number in range(5):
        deliver(definition, timezone.now() - timedelta(minutes=number), "failed", reason="refused")
    deliver(other, timezone.now() - timedelta(hours=1), "failed", reason="exhausted")
    found = staff(is_superuser=True).get(HOME, {"period": "7"}).context["troubles"]
    assert [title.title.partition(": ")[2] for title in found] == ["2 or more events failed", "1 or more events failed"]


@time_machine.travel(NOON, tick=False)
def test_the_home_page_says_the_same_before_and_after_a_fold_and_a_purge(definition):
    for number in range(40):
        deliver(definition, NOON - timedelta(hours=9 * number), ("sent", "failed", "skipped", "held")[number % 4])
    clients = staff(definition.integration.merchant), staff(is_superuser=True)

    def shown():
        pages = [client.get(HOME, {"period": period}) for client in clients for period in ("today", "7", "30")]
        return [(page.context["chart"].rows, [tile.text for tile in page.context["tiles"]]) for page in pages]

    before = shown()
    while statistics.fold():
        pass
    assert shown() == before
    assert sum(retention.purge_deliveries(NOON - timedelta(days=2))) > 0
    assert shown() == before
    assert not clients[0].get(HOME).context["is_new"]


def test_a_provider_that_does_not_answer_is_told_with_the_next_look_and_what_waits(definition):
    now = timezone.now()
    at = now + timedelta(minutes=3)
    Integration.objects.update(breaker_failures=3, breaker_failing_since=now - timedelta(minutes=4, seconds=9), breaker_until=at)
    for _number in range(2):
        deliver(definition, now, "retrying", next_attempt_at=now)
    (card,) = staff(definition.integration.merchant).get(HOME).context["integrations"]
    clock = timezone.localtime(at, ZoneInfo(definition.integration.merchant.timezone)).strftime("%H:%M")
    assert (card.word, card.tone) == ("Does not answer", "warning")
    assert card.sentence == (
        f"CleverTap has not answered for 4 min. The next look, with one event, is at {clock}. 2 events wait and use up no try."
    )
    Integration.objects.update(breaker_until=now)
    (card,) = staff(definition.integration.merchant).get(HOME).context["integrations"]
    assert "One event is tried now" in card.sentence


def test_a_limit_a_minute_that_is_used_up_is_not_said_to_be_the_providers_wish(definition):
    Integration.objects.update(hold_until=timezone.now() + timedelta(seconds=20), hold_count=0)
    (card,) = staff(definition.integration.merchant).get(HOME).context["integrations"]
    assert "limit a minute is used up" in card.sentence


def test_every_page_offers_the_same_periods(definition):
    offered = staff(definition.integration.merchant).get(HOME).context["periods"]
    assert [(key, shown) for key, _words, shown in offered] == [("today", False), ("7", True), ("30", False), ("90", False)]
