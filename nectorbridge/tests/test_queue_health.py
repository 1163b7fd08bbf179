"""The page “Queue health”: for administrators, every number with its rows, quick whatever the number of integrations."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events import record
from events.models import Call, DeliveryAttempt, EventDelivery, Worker
from integrations.models import Integration, Membership, Status
from nectorbridge.testing import make

URL = reverse("queue_health")


def browser(merchant=None, **values) -> Client:
    user = get_user_model().objects.create_user(f"user{uuid.uuid4().hex}", is_staff=True, **values)
    if merchant:
        Membership.objects.create(merchant=merchant, user=user)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def administrator(db) -> Client:
    return browser(is_superuser=True)


@pytest.fixture
def integration(db) -> Integration:
    return make.definition().integration


def text_of(client) -> str:
    """What a person reads, in one line."""
    page = client.get(URL).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index("As of") :]))


def waiting(integration, status, due=None, **values) -> EventDelivery:
    (row,) = record(make.activity(integration.merchant, f"c{uuid.uuid4().hex}"))
    EventDelivery.objects.filter(pk=row.pk).update(status=status, next_attempt_at=due or timezone.now(), **values)
    row.refresh_from_db()
    return row


# --- Who may see it ---------------------------------------------------------------------------------------------------------
def test_a_merchants_staff_are_refused_and_see_no_entry_for_it(integration):
    owner = browser(integration.merchant)
    assert owner.get(URL).status_code == 403
    assert URL not in owner.get(reverse("admin:index")).content.decode()


def test_a_stranger_is_sent_to_log_in(db, client):
    assert client.get(URL)["Location"].startswith(reverse("admin:login"))


def test_an_administrator_finds_it_in_the_side_bar(administrator):
    assert URL in administrator.get(reverse("admin:index")).content.decode()
    assert administrator.get(URL).status_code == 200


def test_it_only_reads(administrator):
    assert administrator.post(URL).status_code == 405


# --- What it says -----------------------------------------------------------------------------------------------------------
def test_with_nothing_at_all_each_part_says_so_and_what_to_do(administrator):
    told = text_of(administrator)
    for sentence in (
        "No worker is alive, so nothing leaves.",
        "No integration yet, so nothing can wait.",
        "No worker has signed on within the last day. Start one: manage.py worker",
        "None: of every call it is known whether it arrived.",
        "Nothing is late.",
    ):
        assert sentence in told


def test_what_waits_is_counted_and_each_number_leads_to_its_rows(administrator, integration):
    now = timezone.now()
    oldest = waiting(integration, "queued", now - timedelta(minutes=7))
    for status, number in (("queued", 1), ("retrying", 3), ("held", 4), ("sending", 1), ("sent", 5)):
        for _ in range(number):
            waiting(integration, status, now + timedelta(hours=1))
    page = administrator.get(URL).content.decode()
    listing = reverse("admin:events_eventdelivery_changelist")
    for status, number in (("queued", 2), ("retrying", 3), ("held", 4)):
        address = f"{listing}?status__exact={status}&amp;integration__id__exact={integration.pk}"
        assert f'href="{address}">{number}</a>' in page
        rows = administrator.get(address.replace("&amp;", "&")).context["cl"]
        assert rows.result_count == number, "the rows behind the number"
    assert page.count(reverse("admin:events_eventdelivery_change", args=[oldest.pk])) == 2, "tile and line"
    assert "7 min" in page


def test_calls_under_way_and_of_the_last_minute_stand_beside_what_is_allowed(administrator):
    mailmodo = make.integration(
        provider="mailmodo", common_property="email", settings={"list_name": "x", "requests_per_second": 5}, secrets={}
    )
    now = timezone.now()
    ended = {"lease_until": now, "records": 1, "integration": mailmodo}
    Call.objects.create(started_at=now - timedelta(minutes=3), ended_at=now, **ended)
    for seconds in (50, 20, 1):
        Call.objects.create(started_at=now - timedelta(seconds=seconds), ended_at=now, **ended)
    Call.objects.create(started_at=now - timedelta(seconds=1), **ended)
    told = text_of(administrator)
    assert "of 300 (5 a second)" in told
    assert f"of {mailmodo.contract.limits.calls_in_flight} " in told
    (row,) = administrator.get(URL).context["queues"]
    assert (row.in_flight.text, row.last_minute.text) == ("1", "4")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"status": Status.ATTENTION, "status_reason": "CleverTap refused the passcode."},
            "CleverTap refused the passcode. (since",
        ),
        ({"status": Status.PAUSED}, "Paused since"),
        ({"status": Status.DRAFT, "enabled": False}, "Not connected"),
        ({"hold_until": timedelta(hours=1)}, "as its provider asked."),
        (
            {
                "breaker_until": timedelta(hours=1),
                "breaker_failing_since": -timedelta(minutes=30),
            },
            "CleverTap has not answered for 30 min. The next look, with one event, is at",
        ),
        ({}, "Sends"),
    ],
)
def test_each_integration_says_how_it_stands(administrator, integration, values, words):
    now = timezone.now()
    Integration.objects.update(**{name: now + of if isinstance(of, timedelta) else of for name, of in values.items()})
    assert words in text_of(administrator)


def test_those_that_need_a_look_come_first(administrator):
    _quiet, late, stopped = (make.definition(make.integration(make.merchant(name))).integration for name in ("a", "b", "c"))
    waiting(late, "queued", timezone.now() - timedelta(hours=1))
    waiting(stopped, "held")
    Integration.objects.filter(pk=stopped.pk).update(status=Status.ATTENTION)
    assert [row.merchant for row in administrator.get(URL).context["queues"]] == ["C", "B", "A"]


def test_workers_say_where_they_run_when_their_canary_ran_and_why_they_were_restarted(administrator):
    now = timezone.now()
    Worker.objects.create(
        name="mill.example:77",
        canary_at=now - timedelta(seconds=2),
        restarts=3,
        restarted_at=now - timedelta(hours=2),
        restart_reason="took no task for 10 s although a worker was free",
        swept_at=now - timedelta(seconds=1),
        sweep={"calls_ended": 1, "claims_returned": 2, "held": 0, "released": 0, "rung": 3},
    )
    Worker.objects.create(name="mill.example:12", canary_at=now - timedelta(hours=1), supervised_at=now - timedelta(hours=1))
    told = text_of(administrator)
    for words in (
        "mill.example process 77",
        "Alive",
        "took no task for 10 s although a worker was free",
        "ended 1 call of a dead worker, put 2 claimed deliveries back, rang for 3 integrations",
        "mill.example process 12",
        "Gives no sign of life",
        "1 h 0 min ago",
    ):
        assert words in told
    assert "No worker is alive" not in told


def test_uncertain_tries_of_a_day_lead_to_their_deliveries_without_the_providers_words(administrator, integration):
    now = timezone.now()
    values = {"number": 1, "outcome": "uncertain", "error_code": "read_timeout", "error_message": "asha@example.com"}
    new, old, other = (waiting(integration, "retrying", now + timedelta(hours=1)) for _ in range(3))
    DeliveryAttempt.objects.create(delivery=new, started_at=now - timedelta(hours=1), **values)
    DeliveryAttempt.objects.create(delivery=old, started_at=now - timedelta(hours=25), **values)
    DeliveryAttempt.objects.create(delivery=other, started_at=now, **{**values, "outcome": "transient"})
    page = administrator.get(URL).content.decode()
    assert reverse("admin:events_eventdelivery_change", args=[new.pk]) in page
    assert str(old.pk) not in page.partition('id="uncertain"')[2] and str(other.pk) not in page.partition('id="uncertain"')[2]
    assert "No answer in time" in page and "asha@example.com" not in page and "In all: 1." in page


# --- What it costs ----------------------------------------------------------------------------------------------------------
def test_it_takes_the_same_statements_however_many_integrations(administrator, django_assert_max_num_queries):
    for number in range(4):
        one = make.definition(make.integration(make.merchant(f"m{number}"))).integration
        row = waiting(one, "queued")
        Integration.objects.update(breaker_until=timezone.now() + timedelta(hours=1))
        DeliveryAttempt.objects.create(delivery=row, number=1, outcome="uncertain", started_at=timezone.now())
    administrator.get(URL)
    with django_assert_max_num_queries(12):
        administrator.get(URL)


def test_uncertain_tries_are_found_by_their_own_index(db):
    from django.db import connection

    from nectorbridge.queue_figures import uncertain_attempts

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    assert "attempt_uncertain" in uncertain_attempts(timezone.now())[:50].explain()
