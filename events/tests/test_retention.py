from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ, Task

from events import retention, statistics, statistics_reading, verbs
from events.identifiers import first_id_at
from events.models import Call, DeliveryAttempt, Engagement, EventDelivery, PurgeCursor
from events.states import State
from events.statistics_reading import Span
from integrations.models import Invitation
from nectorbridge.testing import make

NOW = timezone.now().replace(minute=7, second=0, microsecond=0)
NOBODY_WAITS = {"queued", "retrying", "sending", "held"}


def deliver(definition, days, status="sent", **values):
    """Return a delivery recorded so many days ago."""
    at = NOW - timedelta(days=days)
    integration = definition.integration
    return EventDelivery.objects.create(
        **{
            "id": uuid.UUID(int=first_id_at(at).int + uuid.uuid4().int % 2**60),
            "definition": definition,
            "integration": integration,
            "merchant": integration.merchant,
            "customer_ref": "c1",
            "recipient": make.PERSON,
            "payload": {"coins": 50},
            "idempotency_key": str(uuid.uuid4()),
            "status": status,
            "reason": "refused" if status == "failed" else "",
            "occurred_at": at,
            "created_at": at,
            **values,
        }
    )


def try_once(delivery, number=1, days=None, call=None):
    at = delivery.created_at if days is None else NOW - timedelta(days=days)
    return DeliveryAttempt.objects.create(delivery=delivery, call=call, number=number, started_at=at, outcome="accepted")


def spans(days=30):
    """Return the quarter of an hour that now is in, and all days before it."""
    end = statistics.quarter_of(NOW) + statistics.QUARTER
    return [Span(end - timedelta(days=number), end - timedelta(days=number - 1)) for number in range(days, 0, -1)]


def figures(merchants=None):
    return [{key: number for key, number in found.items() if number} for found in statistics_reading.count(spans(), merchants)]


def fold_all(now=None):
    while statistics.fold(now or NOW):
        pass


def purge(days=10, batch=None):
    """Purge deliveries older than so many days."""
    return sum(retention.purge_deliveries(NOW - timedelta(days=days)))


@pytest.fixture
def definition(db):
    return make.definition()


@pytest.fixture
def history(definition):
    """A month of two merchants' rows in every state, some of them tests."""
    other = make.definition(make.integration(make.merchant("other")))
    for number in range(60):
        for of in (definition, other):
            status = State.values[number % len(State.values)]
            deliver(of, days=number / 2, status=status, is_test=number % 10 == 9)
    return definition, other


# --- Figures ----------------------------------------------------------------------------------------------------------
def test_figures_are_the_same_before_and_after_fold_and_purge(history):
    merchants = [definition.integration.merchant_id for definition in history]
    before = [figures(), figures(merchants[:1]), figures(merchants)]
    assert sum(sum(found.values()) for found in before[0]) == 108  # 60 of each merchant, 6 of them tests
    fold_all()
    assert [figures(), figures(merchants[:1]), figures(merchants)] == before
    assert purge() > 0
    assert [figures(), figures(merchants[:1]), figures(merchants)] == before


def test_figures_are_the_same_after_a_purge_of_what_was_never_folded(history):
    before = figures()
    assert purge() > 0
    assert figures() == before
    fold_all()
    assert figures() == before


def test_figures_are_the_same_when_a_purge_is_interrupted_between_batches(history, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    before, rows = figures(), EventDelivery.objects.count()
    fold_all()
    work = retention.purge_deliveries(NOW - timedelta(days=10))
    for number in range(1, 6):
        next(work)
        assert EventDelivery.objects.count() == rows - number
        assert figures() == before
    work.close()
    purge()
    assert figures() == before


def test_a_purge_that_fails_in_the_middle_of_a_batch_leaves_rows_and_figures(history, monkeypatch):
    before, rows = figures(), EventDelivery.objects.count()
    fold_all()
    monkeypatch.setattr(retention, "_delete", lambda ids: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        purge()
    assert EventDelivery.objects.count() == rows
    monkeypatch.undo()
    assert figures() == before


@pytest.mark.django_db(transaction=True)
def test_two_purgers_at_once_lose_and_double_nothing(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 3)
    definition = make.definition()
    for number in range(60):
        deliver(definition, days=20 + (number % 5) / 96, status=("sent", "failed", "held")[number % 3])
    before, done, failed = figures(), [], []

    def work():
        try:
            done.append(purge())
        except Exception as error:  # shown by the assertion below
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _number in range(2)]
    folder = threading.Thread(target=lambda: (fold_all(), connections.close_all()))
    for thread in (*threads, folder):
        thread.start()
    for thread in (*threads, folder):
        thread.join()
    assert failed == []
    purge()  # what one skipped since the other had locked it
    assert sorted(EventDelivery.objects.values_list("status", flat=True)) == ["held"] * 20
    assert figures() == before
    assert sum(done) <= 40


def test_a_retried_row_of_a_folded_quarter_is_counted_where_it_is_now(definition):
    row = deliver(definition, days=3, status="failed")
    deliver(definition, days=3, status="sent")
    fold_all()
    assert verbs.retry(row)
    assert sum(found.get("failed", 0) for found in figures()) == 0
    assert sum(found.get("queued", 0) for found in figures()) == 1
    EventDelivery.objects.filter(pk=row.pk).update(status="sent")
    statistics.recount(NOW + timedelta(hours=1))
    assert figures() == figures() and sum(found.get("sent", 0) for found in figures()) == 2
    purge(days=1)
    assert sum(found.get("sent", 0) for found in figures()) == 2


def test_a_quarter_with_rows_under_way_is_read_from_them_until_they_are_over(definition):
    row = deliver(definition, days=2, status="retrying")
    deliver(definition, days=2, status="sent")
    fold_all()
    EventDelivery.objects.filter(pk=row.pk).update(status="failed")
    assert {key: sum(f.get(key, 0) for f in figures()) for key in ("retrying", "failed", "sent")} == {
        "retrying": 0,
        "failed": 1,
        "sent": 1,
    }
    later = timezone.now() + timedelta(hours=1)
    assert statistics.recount(later) == 1
    assert sum(found.get("failed", 0) for found in figures()) == 1
    assert statistics.recount(later) == 0


def test_a_recount_waits_for_rows_under_way(definition):
    deliver(definition, days=2, status="sending")
    fold_all()
    assert statistics.recount(timezone.now() + timedelta(hours=1)) == 0
    assert sum(found.get("sending", 0) for found in figures()) == 1


def test_what_was_released_or_cancelled_after_the_fold_is_counted_anew(definition):
    from events import holding

    deliver(definition, days=2, status="held")
    stays = deliver(definition, days=1, status="held")
    fold_all()
    assert holding.release(definition.integration_id) == 2
    assert sum(found.get("queued", 0) for found in figures()) == 2
    assert verbs.cancel(stays)
    assert {key for found in figures() for key in found} == {"queued", "cancelled"}


def test_the_newest_quarters_are_left_alone(definition):
    deliver(definition, days=0)
    assert not statistics.fold(NOW)
    assert statistics.fold(NOW + timedelta(hours=2))
    assert not statistics.fold(NOW + timedelta(hours=2))


def test_opens_and_clicks_survive_first_ones_and_machines_apart(definition):
    row, test = deliver(definition, days=20), deliver(definition, days=20, is_test=True)
    hour = timedelta(hours=1)
    for delivery in (row, test):
        for number in range(3):
            Engagement.objects.create(delivery=delivery, kind="open", source="t", occurred_at=row.created_at + number * hour)
        Engagement.objects.create(delivery=delivery, kind="open", source="t", is_machine=True, occurred_at=row.created_at)
        Engagement.objects.create(delivery=delivery, kind="click", source="t", occurred_at=row.created_at + 2 * hour)
    purge()
    assert not EventDelivery.objects.exists() and not Engagement.objects.exists()
    found = statistics_reading.count([Span(spans()[0].since, spans()[-1].until)], None)
    assert found == [{"sent": 1, "open": 3, "open_first": 1, "open_machine": 1, "click": 1, "click_first": 1}]


# --- What goes, and what stays ----------------------------------------------------------------------------------------
def test_only_what_is_over_and_past_its_age_goes(definition):
    for status in State.values:
        deliver(definition, days=20, status=status)
        deliver(definition, days=5, status=status)
    assert purge(days=10) == 4
    old = EventDelivery.objects.filter(id__lt=first_id_at(NOW - timedelta(days=10)))
    assert set(old.values_list("status", flat=True)) == NOBODY_WAITS
    assert EventDelivery.objects.count() == 12


def test_payloads_are_blanked_and_the_row_stays(definition):
    old, waiting, young = deliver(definition, 20), deliver(definition, 20, "held"), deliver(definition, 5)
    assert sum(retention.purge_payloads(NOW - timedelta(days=10))) == 1
    for row in (old, waiting, young):
        row.refresh_from_db()
    assert (old.payload, old.recipient, old.customer_ref, old.status) == ({}, {}, "c1", "sent")
    assert waiting.payload == young.payload == {"coins": 50} and waiting.recipient == make.PERSON
    assert sum(retention.purge_payloads(NOW - timedelta(days=10))) == 0


def test_payloads_are_blanked_where_it_stopped_and_from_the_start_after_a_month(definition, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    late = deliver(definition, 21, "held")
    deliver(definition, 20), deliver(definition, 19)
    work = retention.purge_payloads(NOW - timedelta(days=10))
    assert next(work) == 1
    assert sum(retention.purge_payloads(NOW - timedelta(days=10))) == 1
    EventDelivery.objects.filter(pk=late.pk).update(status="cancelled")
    assert sum(retention.purge_payloads(NOW - timedelta(days=10))) == 0
    PurgeCursor.objects.update(began_at=timezone.now() - retention.ROUND - timedelta(hours=1))
    assert sum(retention.purge_payloads(NOW - timedelta(days=10))) == 1


def test_a_blank_delivery_cannot_be_sent_again(definition):
    row = deliver(definition, 20, "failed")
    assert sum(retention.purge_payloads(NOW - timedelta(days=10))) == 1
    assert not verbs.retry(row)
    row.refresh_from_db()
    assert row.status == "failed"


def test_tries_go_with_their_calls_and_open_calls_stay(definition):
    then = NOW - timedelta(days=20)

    def call(**values):
        return Call.objects.create(
            **{"integration": definition.integration, "started_at": then, "ended_at": then, "lease_until": then} | values
        )

    done, shared, unended, fresh, alone = call(request="POST x"), call(), call(ended_at=None), call(started_at=NOW), call()
    try_once(deliver(definition, 20, call=done), call=done)
    try_once(deliver(definition, 20), call=shared)
    waiting = try_once(deliver(definition, 20, "held"), call=shared)
    late = deliver(definition, 20)
    kept = try_once(late, days=5, call=fresh)
    before = NOW - timedelta(days=10)
    assert sum(retention.purge_attempts(before)) == 2
    assert set(DeliveryAttempt.objects.values_list("pk", flat=True)) == {waiting.pk, kept.pk}
    assert sum(retention.purge_calls(before)) == 2
    assert set(Call.objects.values_list("pk", flat=True)) == {shared.pk, unended.pk, fresh.pk}
    assert not Call.objects.filter(pk=alone.pk).exists()
    assert EventDelivery.objects.count() == 4


def test_a_deleted_delivery_takes_its_tries_along(definition):
    try_once(deliver(definition, 20))
    keeps = try_once(deliver(definition, 5))
    purge()
    assert list(DeliveryAttempt.objects.all()) == [keeps]


def test_tasks_of_the_queue_are_pruned_failed_ones_too(db, settings):
    for number, days in enumerate((1, 30)):
        at = NOW - timedelta(days=days)
        for success in (True, False):
            Task.objects.create(id=f"{number}{success}", name="t", func="f", started=at, stopped=at, success=success)
        OrmQ.objects.create(key="nectorbridge", payload="x", lock=at)
    assert {what for what, _number in retention.batches()} == {"tasks"}
    assert (Task.objects.count(), OrmQ.objects.count()) == (2, 1)


def test_invitations_go_some_time_after_their_end_and_one_that_is_open_stays(db, settings):
    settings.RETENTION_INVITATION_DAYS = 10
    shop = make.merchant()
    for days in (20, 5, -5):
        at = NOW - timedelta(days=days)
        for accepted in (None, at):
            values = {"email": f"{days}@example.com", "created_at": at, "expires_at": at, "accepted_at": accepted}
            Invitation.objects.create(merchant=shop, **values)
    assert retention.preview()["invitations"] == 2
    assert dict(retention.batches()) == {"invitations": 2}
    assert {row.email for row in Invitation.objects.all()} == {"5@example.com", "-5@example.com"}


def test_sessions_go_as_soon_as_they_are_over(db):
    for key, minutes in (("over", -1), ("open", 1)):
        Session.objects.create(session_key=key, session_data="", expire_date=timezone.now() + timedelta(minutes=minutes))
    assert retention.preview()["sessions"] == 1
    assert dict(retention.batches()) == {"sessions": 1}
    assert [row.pk for row in Session.objects.all()] == ["open"]


@pytest.mark.parametrize("name", ["PAYLOAD", "ATTEMPT", "DELIVERY", "TASK", "INVITATION"])
def test_zero_keeps_for_ever(settings, name):
    setattr(settings, f"RETENTION_{name}_DAYS", 0)
    attribute = "deliveries" if name == "DELIVERY" else f"{name.lower()}s"
    if name == "ATTEMPT":  # their calls hold what was sent
        settings.RETENTION_PAYLOAD_DAYS = 0
    assert getattr(retention.policy(), attribute) is None


def test_tries_go_with_the_payloads_at_the_latest(settings):
    settings.RETENTION_PAYLOAD_DAYS, settings.RETENTION_ATTEMPT_DAYS = 30, 90
    chosen = retention.policy(NOW)
    assert chosen.attempts == chosen.payloads == NOW - timedelta(days=30)


def test_a_batch_takes_the_same_statements_however_many_rows_are_in_it(definition):
    def statements(rows):
        for number in range(rows):
            deliver(definition, 20 + number / 100_000)
        with CaptureQueriesContext(connection) as captured:
            assert purge() == rows
        return len(captured)

    with statistics.frontier():
        pass  # its row is there
    assert statements(3) == statements(30) <= 20


# --- The command ------------------------------------------------------------------------------------------------------
def command(*arguments):
    output = StringIO()
    call_command("purge", *arguments, stdout=output)
    return output.getvalue()


def test_a_dry_run_says_what_would_go_and_changes_nothing(definition, settings):
    settings.RETENTION_DELIVERY_DAYS, settings.RETENTION_PAYLOAD_DAYS = 60, 30
    for days in (70, 70, 40, 5):
        try_once(deliver(definition, days))
    said = command("--dry-run")
    assert "deliveries: 2 would go" in said and "payloads: 1 would go" in said and "tries: 3 would go" in said
    assert EventDelivery.objects.exclude(payload={}).count() == DeliveryAttempt.objects.count() == 4


def test_the_command_purges_and_says_how_much(definition, settings):
    settings.RETENTION_DELIVERY_DAYS, settings.RETENTION_PAYLOAD_DAYS = 60, 30
    for days in (70, 70, 40, 5):
        deliver(definition, days)
    said = command()
    assert "deliveries: 2 done" in said and "payloads: 1 done" in said
    assert EventDelivery.objects.count() == 2
    assert "Nothing is old enough." in command()


def test_a_time_is_told_by_the_id(db):
    at = datetime(2026, 3, 1, 18, 29, 59, 999000, tzinfo=UTC)
    assert statistics.recorded_at(first_id_at(at)) == at
    assert statistics.quarter_of(at) == datetime(2026, 3, 1, 18, 15, tzinfo=UTC)


def test_the_call_of_a_delivery_has_no_constraint_to_be_searched_for(db):
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, "events_eventdelivery")
    assert [name for name, found in constraints.items() if found["foreign_key"] and found["columns"] == ["call_id"]] == []
