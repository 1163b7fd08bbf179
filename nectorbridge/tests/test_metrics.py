"""The metrics: who may read them, what they say, and that they say it from the database without looking at what is over."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

import pytest
import responses
from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from events import record, tallies
from events.drain import drain
from events.models import Call, DeliveryAttempt, EventDelivery, Worker
from events.tallies import Kind
from integrations.models import Integration
from nectorbridge.testing import make

URL = "/metrics"


@pytest.fixture
def integration(db):
    return make.definition().integration


def place(label: tuple[str, str]) -> int:
    """Provider, integration, and then whatever else there is."""
    return {"provider": 0, "integration": 1}.get(label[0], 2)


def scraped(client) -> dict[tuple, float]:
    """Every sample, by name and its labels' values."""
    text = client.get(URL).content.decode()
    return {
        (
            sample.name.removeprefix("nectorbridge_"),
            *(value for _, value in sorted(sample.labels.items(), key=place)),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# --- Who may ask ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_without_a_token_this_machine_may_ask(client, db, settings, address):
    settings.METRICS_TOKEN = ""
    response = client.get(URL, REMOTE_ADDR=address)
    assert response.status_code == 200 and response["Content-Type"].startswith("text/plain; version=")
    assert response["Cache-Control"] == "no-store" and not response.cookies


@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.0.1", "::ffff:203.0.113.9", "", "localhost"])
def test_without_a_token_nobody_else_may(client, settings, address):
    settings.METRICS_TOKEN = ""
    response = client.get(URL, REMOTE_ADDR=address)
    assert response.status_code == 403 and b"nectorbridge_" not in response.content


@pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED"])
def test_a_header_neither_opens_the_door_nor_hides_a_proxy_on_this_machine(client, settings, header):
    settings.METRICS_TOKEN = ""
    assert client.get(URL, REMOTE_ADDR="203.0.113.9", **{header: "127.0.0.1"}).status_code == 403
    assert client.get(URL, REMOTE_ADDR="127.0.0.1", **{header: "203.0.113.9"}).status_code == 403


def test_with_a_token_only_its_bearer_may_from_anywhere(client, db, settings):
    settings.METRICS_TOKEN = "a-long-token-ü"
    ask = {"REMOTE_ADDR": "203.0.113.9"}
    assert client.get(URL, HTTP_AUTHORIZATION="Bearer a-long-token-ü", **ask).status_code == 200
    for wrong in ("Bearer a-long-token", "Bearer ", "Basic a-long-token-ü", "a-long-token-ü"):
        response = client.get(URL, HTTP_AUTHORIZATION=wrong, **ask)
        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert client.get(URL, REMOTE_ADDR="127.0.0.1").status_code == 401, "this machine needs it, too"


def test_they_are_only_read(client):
    assert client.post(URL).status_code == 405


def test_a_scraper_that_asks_for_openmetrics_gets_it(client, integration):
    response = client.get(URL, HTTP_ACCEPT="application/openmetrics-text; version=1.0.0")
    assert response["Content-Type"].startswith("application/openmetrics-text")
    assert response.content.endswith(b"# EOF\n")


# --- What they say ----------------------------------------------------------------------------------------------------------
def test_what_waits_is_told_by_state_with_the_age_of_the_oldest(client, integration):
    now, pk = timezone.now(), str(integration.pk)
    rows = [record(make.activity(integration.merchant, f"c{number}"))[0] for number in range(6)]
    for row, status, due in (
        (rows[0], "queued", now - timedelta(seconds=90)),
        (rows[1], "queued", now),
        (rows[2], "retrying", now + timedelta(hours=1)),
        (rows[3], "held", now - timedelta(days=1)),
        (rows[4], "sending", now - timedelta(days=1)),
        (rows[5], "sent", None),
    ):
        EventDelivery.objects.filter(pk=row.pk).update(status=status, next_attempt_at=due)
    Call.objects.create(integration=integration, started_at=now, lease_until=now, records=1)
    found = scraped(client)
    told = {name: found[f"{name}_deliveries", "clevertap", pk] for name in ("queued", "retrying", "held", "sending")}
    assert told == {"queued": 2, "retrying": 1, "held": 1, "sending": 1}
    assert 90 <= found["oldest_queued_age_seconds", "clevertap", pk] < 120
    assert found["calls_in_flight", "clevertap", pk] == 1
    assert found["calls_in_flight_limit", "clevertap", pk] == integration.contract.limits.calls_in_flight
    assert found["integration_state", "clevertap", pk, "active"] == 1


@pytest.mark.parametrize(("seconds", "told"), [(None, 0), (-5, 1), (60, 2)])
def test_the_breaker_is_told_as_a_number(client, integration, seconds, told):
    until = timezone.now() + timedelta(seconds=seconds) if seconds else None
    Integration.objects.update(breaker_until=until)
    assert scraped(client)["breaker_state", "clevertap", str(integration.pk)] == told


def test_an_empty_queue_is_told_as_nought(client, integration):
    found = scraped(client)
    for name in ("queued_deliveries", "held_deliveries", "oldest_queued_age_seconds", "sent_total", "integration_hold_seconds"):
        assert found[name, "clevertap", str(integration.pk)] == 0


def test_a_journey_is_told_as_it_went(client, integration):
    pk = str(integration.pk)
    with responses.RequestsMock() as provider:
        refused = {"status": "fail", "code": 513, "error": "Restricted Event Name.Skipped record number : 4"}
        provider.add(responses.POST, make.UPLOAD, json={"status": "partial", "processed": 3, "unprocessed": [refused]})
        for person in ("c1", "c2"):
            record(make.activity(integration.merchant, person))
        record(make.activity(integration.merchant, recipient={"email": "asha@example.com"}))
        drain(integration.pk)
    found = scraped(client)
    assert found["sent_total", "clevertap", pk] == 1
    assert found["failed_total", "clevertap", pk, "refused"] == 1
    assert found["skipped_total", "clevertap", pk, "no_identity"] == 1
    assert found["attempts_total", "clevertap", pk, "accepted"] == found["attempts_total", "clevertap", pk, "permanent"] == 1
    assert found["attempts_total", "clevertap", pk, "uncertain"] == 0
    assert found["provider_latency_seconds_count", "clevertap", pk] == 1
    assert found["provider_latency_seconds_bucket", "clevertap", pk, "+Inf"] == 1


def test_a_counter_stays_when_its_rows_are_purged(client, integration):
    pk = str(integration.pk)
    with responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, json={"status": "success", "processed": 2, "unprocessed": []})
        record(make.activity(integration.merchant))
        drain(integration.pk)
    DeliveryAttempt.objects.all().delete()
    EventDelivery.objects.all().delete()
    Call.objects.all().delete()
    tallies.fold()
    found = scraped(client)
    assert (found["sent_total", "clevertap", pk], found["provider_latency_seconds_count", "clevertap", pk]) == (1, 1)


def test_histograms_are_cumulative_and_in_seconds(client, integration):
    pk = str(integration.pk)
    tallies.add(tallies.call_counts([30, 200, 700, 20_000]) + tallies.drain_counts(3), integration.pk)
    found = scraped(client)
    name = "provider_latency_seconds"
    buckets = {key[3]: value for key, value in found.items() if key[:3] == (f"{name}_bucket", "clevertap", pk)}
    assert [buckets[bound] for bound in ("0.05", "0.25", "0.5", "1.0", "10.0", "+Inf")] == [1, 2, 2, 3, 3, 4]
    assert found[f"{name}_sum", "clevertap", pk] == pytest.approx(20.93)
    assert found["drain_duration_seconds_bucket", "clevertap", pk, "5.0"] == 1
    assert found["drain_duration_seconds_bucket", "clevertap", pk, "2.0"] == 0


def test_workers_are_told_by_machine_with_their_youngest_sign_of_life(client, db):
    now = timezone.now()
    Worker.objects.create(name="left:7", canary_at=now - timedelta(hours=2), supervised_at=now - timedelta(hours=2))
    Worker.objects.create(name="left:9", canary_at=now - timedelta(seconds=4), supervised_at=now)
    Worker.objects.create(name="right:3", started_at=now - timedelta(seconds=50), supervised_at=now)
    tallies.add(Counter({(Kind.RESTART, ""): 3}))
    found = scraped(client)
    assert found["workers_alive",] == 1 and found["cluster_restarts_total",] == 3
    assert 4 <= found["worker_heartbeat_age_seconds", "left"] < 20
    assert 50 <= found["worker_heartbeat_age_seconds", "right"] < 70, "one that never proved itself counts from its start"


def test_no_label_has_anything_of_a_person(client, integration):
    record(make.activity(integration.merchant))
    text = client.get(URL).content.decode()
    labels = set(re.findall(r'(\w+)="', text))
    assert labels <= {"provider", "integration", "state", "reason", "outcome", "le", "machine", "version"}
    assert not any(value in text for value in (*make.PERSON.values(), "Acme"))


def test_an_absent_database_is_told_rather_than_an_error(client, db):
    def refuse(*args, **kwargs):
        raise OperationalError("no route to db.internal")

    with connection.execute_wrapper(refuse):
        response = client.get(URL)
    assert response.status_code == 200
    assert b"nectorbridge_database_up 0.0" in response.content and b"sent_total" not in response.content
    assert b"db.internal" not in response.content


# --- What they cost ---------------------------------------------------------------------------------------------------------
def test_a_scrape_takes_a_handful_of_statements_however_many_integrations(client, db, django_assert_num_queries):
    for number in range(3):
        make.definition(make.integration(make.merchant(f"m{number}")))
    with django_assert_num_queries(5):
        client.get(URL)


def test_no_statement_scans_the_deliveries(client, integration):
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        client.get(URL)
    (depths, due) = [query["sql"] for query in queries if "events_eventdelivery" in query["sql"]]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        for statement in (depths, due):
            cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{statement}")
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            assert "delivery_due" in plan
            assert "SCAN d" not in plan and "SCAN U0" not in plan and "Seq Scan on events_eventdelivery" not in plan


# --- What the manual says ---------------------------------------------------------------------------------------------------
def test_the_manual_names_every_metric_and_none_that_there_is_not(client, integration):
    tallies.add(Counter({(Kind.FAILED, "refused"): 1, (Kind.SKIPPED, "stale"): 1}), integration.pk)
    Worker.objects.create(name="mill:1")
    text = client.get(URL).content.decode()
    samples = {re.split(r"[{ ]", line)[0].removeprefix("nectorbridge_") for line in text.splitlines() if not line.startswith("#")}
    told = {re.sub("_(bucket|count|sum)$", "", name) for name in samples}
    manual = (settings.BASE_DIR / "docs" / "operations.md").read_text()
    table = manual.partition("| metric (`nectorbridge_...`)")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == told
    assert set(re.findall(r"nectorbridge_(\w+)", manual.partition("### Alerts")[2].partition("### Logs")[0])) <= samples
