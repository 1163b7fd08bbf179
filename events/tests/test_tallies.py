"""Counts that outlive their rows: exact after every outcome, added up without a loss, never taken back."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import responses
from django.db import connection, connections
from django.utils import timezone

from events import claims, record, record_many, tallies
from events.drain import drain
from events.models import Call, DeliveryAttempt, EventDelivery, Tally
from events.sweep import sweep
from events.tallies import Kind
from events.tasks import drain as drain_task
from nectorbridge.testing import make

OK = {"status": "success", "processed": 1, "unprocessed": []}


@pytest.fixture
def integration(db):
    return make.definition().integration


@pytest.fixture
def provider():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def counted(integration) -> dict[tuple[str, str], int]:
    """What is counted of this integration, durations left out."""
    counts = tallies.totals().get(integration.pk, Counter())
    return {key: number for key, number in counts.items() if key[0] not in (Kind.CALL, Kind.CALL_MS)}


def calls(integration) -> int:
    return sum(number for (kind, _), number in tallies.totals()[integration.pk].items() if kind == Kind.CALL)


def recounted(integration) -> dict[tuple[str, str], int]:
    """The same from the rows, where nobody retried by hand and nothing was purged."""
    found: Counter = Counter()
    for status, reason in EventDelivery.objects.filter(integration=integration).values_list("status", "reason"):
        if status == "sent":
            found[Kind.SENT, ""] += 1
        elif status in ("failed", "skipped"):
            found[status, reason] += 1
    for outcome in DeliveryAttempt.objects.values_list("outcome", flat=True):
        found[Kind.ATTEMPT, outcome] += 1
    return dict(found)


def test_what_is_sent_refused_retried_and_left_out_is_counted_as_it_stands_in_the_rows(integration, provider):
    refused = {"status": "fail", "code": 513, "error": "Restricted Event Name.Skipped record number : 4"}
    provider.add(responses.POST, make.UPLOAD, json={"status": "partial", "processed": 3, "unprocessed": [refused]})
    record_many([make.activity(integration.merchant, f"c{number}") for number in range(2)])
    record(make.activity(integration.merchant, recipient={"email": "asha@example.com"}))  # no customer id
    drain(integration.pk)
    provider.add(responses.POST, make.UPLOAD, status=500)
    record(make.activity(integration.merchant, "c9"))
    drain(integration.pk)
    assert (
        counted(integration)
        == recounted(integration)
        == {
            (Kind.SENT, ""): 1,
            (Kind.FAILED, "refused"): 1,
            (Kind.SKIPPED, "no_identity"): 1,
            (Kind.ATTEMPT, "accepted"): 1,
            (Kind.ATTEMPT, "permanent"): 1,
            (Kind.ATTEMPT, "transient"): 1,
        }
    )
    assert calls(integration) == Call.objects.count() == 2


def test_a_provider_that_takes_one_event_a_call_is_counted_by_the_turn(provider, db):
    integration = make.definition(
        make.integration(
            provider="contlo", common_property="email", settings={"app_installed": True}, secrets={"private_api_key": "k"}
        )
    ).integration
    provider.add(responses.POST, "https://api.contlo.com/v1/track", json={"success": True})
    people = [{**make.PERSON, "customer_id": f"c{n}", "email": f"c{n}@example.com"} for n in range(5)]
    record_many([make.activity(integration.merchant, f"c{n}", recipient=person) for n, person in enumerate(people)])
    drain(integration.pk)
    assert counted(integration) == recounted(integration) == {(Kind.SENT, ""): 5, (Kind.ATTEMPT, "accepted"): 5}
    assert calls(integration) == 5


def test_a_call_whose_worker_died_counts_as_uncertain_but_has_no_duration(integration):
    (row,) = record(make.activity(integration.merchant))
    past = timezone.now() - timedelta(minutes=5)
    call = Call.objects.create(integration=integration, started_at=past, lease_until=past, records=1)
    EventDelivery.objects.filter(pk=row.pk).update(status="sending", call=call, attempt_count=1, lease_until=past)
    sweep()
    assert counted(integration) == {(Kind.ATTEMPT, "uncertain"): 1}
    assert calls(integration) == 0


def test_what_our_own_code_cannot_pack_counts_as_failed(integration):
    (row,) = record(make.activity(integration.merchant))
    claims.claim(integration.pk, 1, "owner")
    claims.fail(str(row.pk), "owner")
    claims.fail(str(row.pk), "owner")  # it is over: nothing is counted twice
    assert counted(integration) == {(Kind.FAILED, "internal"): 1}


def test_what_a_retry_or_a_replay_leaves_out_is_counted_by_its_reason(integration, monkeypatch):
    from events import replay, verbs

    sent, failed = (record(make.activity(integration.merchant, person))[0] for person in ("c1", "c2"))
    EventDelivery.objects.filter(pk=sent.pk).update(status="sent", recipient={"email": "asha@example.com"})
    EventDelivery.objects.filter(pk=failed.pk).update(status="failed", recipient={"email": "asha@example.com"})
    verbs.Retry([failed.pk]).carry_out()
    replay.Replay([sent.pk], "token").carry_out()
    assert set(EventDelivery.objects.filter(status="skipped").values_list("reason", flat=True)) == {"no_identity"}
    assert counted(integration) == {(Kind.SKIPPED, "no_identity"): 2}


def test_what_is_rolled_back_is_not_counted(integration):
    from django.db import transaction

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record(make.activity(integration.merchant, recipient={"email": "asha@example.com"}))
        1 / 0  # noqa: B018
    assert counted(integration) == {}


def test_adding_up_changes_no_count_and_leaves_one_row_for_each(integration):
    for _ in range(3):
        tallies.add(Counter({(Kind.SENT, ""): 5, (Kind.FAILED, "refused"): 1}), integration.pk)
    before = tallies.totals()
    assert tallies.fold() == 2 and tallies.totals() == before
    tallies.add(Counter({(Kind.SENT, ""): 1}), integration.pk)
    tallies.add(Counter({(Kind.RESTART, ""): 1}))
    assert tallies.fold() == 2 and tallies.fold() == 0
    assert list(Tally.objects.order_by("kind").values_list("integration_id", "kind", "amount", "is_total")) == [
        (integration.pk, "failed", 3, True),
        (0, "restart", 1, True),
        (integration.pk, "sent", 16, True),
    ]


def test_a_purge_of_every_row_takes_no_count_back(integration, provider):
    provider.add(responses.POST, make.UPLOAD, json=OK)
    record(make.activity(integration.merchant))
    drain(integration.pk)
    before = tallies.totals()
    DeliveryAttempt.objects.all().delete()
    EventDelivery.objects.all().delete()
    Call.objects.all().delete()
    tallies.fold()
    assert tallies.totals() == before and counted(integration)[Kind.SENT, ""] == 1


def test_more_than_is_added_up_at_once_is_left_for_the_next_time(integration, monkeypatch):
    monkeypatch.setattr(tallies, "FOLDED_AT_ONCE", 2)
    for _ in range(3):
        tallies.add(Counter({(Kind.SENT, ""): 1}), integration.pk)
    tallies.fold()
    assert Tally.objects.filter(is_total=False).count() == 1 and counted(integration) == {(Kind.SENT, ""): 3}


def test_durations_lie_within_the_bound_they_do_not_exceed():
    counts = tallies.call_counts([0, 50, 51, 9_999, 12_000, None])
    assert counts == {
        (Kind.CALL, "0.05"): 2,
        (Kind.CALL, "0.1"): 1,
        (Kind.CALL, "10.0"): 1,
        (Kind.CALL, "+Inf"): 1,
        (Kind.CALL_MS, ""): 22_100,
    }


def test_a_drain_that_had_something_to_do_is_timed_and_an_idle_one_is_not(integration, provider):
    provider.add(responses.POST, make.UPLOAD, json=OK)
    drain_task(integration.pk)
    assert not [key for key in counted(integration) if key[0] == Kind.DRAIN]
    record(make.activity(integration.merchant))
    drain_task(integration.pk)
    assert sum(number for (kind, _), number in counted(integration).items() if kind == Kind.DRAIN) == 1


@pytest.mark.django_db(transaction=True)
def test_adding_and_adding_up_on_many_threads_loses_and_doubles_nothing():
    def work(number: int) -> None:
        for step in range(20):
            tallies.add(Counter({(Kind.SENT, ""): 1, (Kind.ATTEMPT, "accepted"): 2}), 1 + number % 2)
            if step % 3 == 0:
                tallies.fold()
        connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    tallies.fold()
    assert {key: dict(counts) for key, counts in tallies.totals().items()} == {
        integration: {(Kind.SENT, ""): 40, (Kind.ATTEMPT, "accepted"): 80} for integration in (1, 2)
    }
    assert not Tally.objects.filter(is_total=False).exists()


def test_a_call_that_carries_a_thousand_events_costs_one_statement_more(integration, provider):
    from django.test.utils import CaptureQueriesContext

    provider.add(responses.POST, make.UPLOAD, json=OK)
    record_many([make.activity(integration.merchant, f"c{number}") for number in range(300)])
    with CaptureQueriesContext(connection) as queries:
        drain(integration.pk)
    assert sum("events_tally" in query["sql"] for query in queries) == 1
