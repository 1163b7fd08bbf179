"""What keeps the hot path short: ready rows, JSON, a bell that is asked before it is rung, one look at who is busy."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events import bell, claims, record, tasks
from events.lookups import IS_DUE
from events.models import EventDelivery
from events.sql import hot_cursor, made, moment
from events.states import DUE_STATES, State
from events.tests.conftest import deliver
from integrations.models import Integration
from integrations.providers.values import dumps, loads
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


def columns(row: EventDelivery) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_a_recorded_delivery_has_in_memory_what_it_has_in_the_database(definition):
    (row,) = record(make.activity(definition.integration.merchant))
    assert columns(row) == columns(EventDelivery.objects.get())
    assert not row._state.adding and row._state.db == "default"


def test_a_ready_row_has_the_same_columns_as_one_from_keyword_arguments():
    values = {"id": uuid.uuid4(), "recipient": {}, "payload": {"a": 1}, "created_at": timezone.now(), "next_attempt_at": None}
    assert columns(made(EventDelivery, **values)) == columns(EventDelivery(**values))


def test_a_ready_row_without_a_value_that_is_made_anew_each_time_is_a_bug():
    with pytest.raises(KeyError, match="id"):
        made(EventDelivery, recipient={}, payload={}, created_at=timezone.now(), next_attempt_at=None)


def test_a_repetition_of_a_single_activity_returns_the_stored_row(definition):
    activity = make.activity(definition.integration.merchant)
    (first,), (again,) = record(activity), record(activity)
    assert again == first and EventDelivery.objects.count() == 1


@pytest.mark.parametrize("value", [{"n": 2**70}, {"t": "\ud800"}, {"t": "₹ 5"}, {"f": 1.5, "l": [1, None, True]}, {1: "key"}])
def test_json_comes_back_as_it_was(value):
    assert loads(dumps(value)) == {str(key): item for key, item in value.items()}


def test_json_that_others_stored_is_read_as_before():
    assert loads('{"t": "\\ud800"}') == {"t": "\ud800"}
    with pytest.raises(ValueError, match="Expecting"):
        loads("nothing")


def test_a_bell_that_is_rung_is_only_looked_at(integration, rung):
    assert bell.ring(integration.pk) is True
    with CaptureQueriesContext(connection) as asked:
        assert bell.ring(integration.pk) is False
    assert [query["sql"].split()[0] for query in asked.captured_queries] == ["SELECT"]
    assert rung == [integration.pk]


def test_what_is_recorded_while_a_bell_is_rung_asks_no_more_than_it_must(definition, rung, django_capture_on_commit_callbacks):
    merchant = definition.integration.merchant
    with django_capture_on_commit_callbacks(execute=True) as first:
        record(make.activity(merchant))
    with django_capture_on_commit_callbacks(execute=True) as again:
        record(make.activity(merchant))
    assert len(first) == 1 and rung == [definition.integration_id]
    assert len(again) == (connection.vendor == "postgresql"), "there a drain may silence it before this is committed"


def test_a_bell_that_counts_as_lost_is_rung_by_the_next_recording(definition, rung, django_capture_on_commit_callbacks):
    bell.ring(definition.integration_id)
    Integration.objects.update(bell_rung_at=timezone.now() - timedelta(minutes=1))
    with django_capture_on_commit_callbacks(execute=True):
        record(make.activity(definition.integration.merchant))
    assert rung == [definition.integration_id] * 2


NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, NOON, NOON.replace(microsecond=7), NOON.astimezone(ZoneInfo("Asia/Kolkata")), NOON.replace(year=1)]
)
def test_a_time_is_written_as_django_writes_it(value):
    assert moment(value, connection) == connection.ops.adapt_datetimefield_value(value)


def test_a_statement_that_comes_again_is_marked_as_django_marks_it():
    for _ in range(2):
        with hot_cursor() as cursor:
            cursor.execute("SELECT %s, 7 %% 4, %s", ["a", "%s"])
            assert cursor.fetchone() == ("a", 3, "%s")


def test_a_bell_that_a_drain_silenced_rings_again(integration, rung):
    bell.ring(integration.pk)
    bell.clear(integration.pk)
    assert Integration.objects.get(pk=integration.pk).bell_rung_at is None
    assert bell.ring(integration.pk) is True and rung == [integration.pk] * 2


def test_of_the_tasks_of_one_bell_the_first_does_the_work_and_the_others_nothing(definition, rung, monkeypatch):
    pk, tokens, worked = definition.integration_id, [], []
    monkeypatch.setattr(bell, "async_task", lambda _task, _pk, token, **_options: tokens.append(token))
    monkeypatch.setattr("events.drain._sent_by", lambda _work: worked.append(1) or 0)
    bell.ring(pk)
    for _ in range(2):  # nobody came for longer than a sweep: it counts as lost, though its task is only late
        Integration.objects.filter(pk=pk).update(bell_rung_at=timezone.now() - timedelta(minutes=1))
        assert bell.ring(pk) is True
    assert len(tokens) == 3 and len(set(tokens)) == 1, "so whichever comes first is the right one"

    tasks.drain(pk, token=tokens[0])
    assert len(worked) == 1
    bell.ring(pk)  # the next event
    for late in tokens[1:3]:
        tasks.drain(pk, token=late)
    assert len(worked) == 1 and bell.ring(pk) is False, "they leave the bell to its own task"
    tasks.drain(pk, token=tokens[3])
    assert len(worked) == 2


def test_a_drain_without_a_token_is_always_welcome(definition, monkeypatch):
    worked = []
    monkeypatch.setattr("events.drain._sent_by", lambda _work: worked.append(1) or 0)
    tasks.drain(definition.integration_id)
    assert worked


def test_a_muffled_bell_has_no_task_that_would_still_be_wanted(definition, monkeypatch):
    pk, tokens = definition.integration_id, []
    monkeypatch.setattr(bell, "async_task", lambda _task, _pk, token, **_options: tokens.append(token))
    monkeypatch.setattr("events.drain._sent_by", lambda _work: pytest.fail("another worker claims again anyway"))
    bell.ring(pk)
    bell.muffle(pk)
    assert tasks.drain(pk, token=tokens[0]) == 0 and bell.hush(pk) is True


@pytest.mark.parametrize("moment", [{}, {"next_attempt_at__lte": timezone.now()}])
def test_what_is_due_is_looked_up_in_its_own_small_index(definition, moment):
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # a table this small is read as a whole otherwise
        rows = EventDelivery.objects.filter(IS_DUE, integration=definition.integration, **moment).order_by()
        assert "delivery_due" in rows.explain()


def test_due_is_what_is_queued_or_retrying(definition):
    for number, state in enumerate(State.values):
        deliver(definition, status=state, customer_ref=str(number))
    found = EventDelivery.objects.filter(IS_DUE, integration=definition.integration).values_list("status", flat=True)
    assert sorted(found) == sorted(DUE_STATES) == ["queued", "retrying"]


def test_a_busy_customer_waits_and_others_do_not(definition):
    sending = deliver(definition, customer_ref="busy", status="sending", lease_until=timezone.now())
    waiting = deliver(definition, customer_ref="busy")
    free = deliver(definition, customer_ref="free")
    retrying = deliver(definition, customer_ref="failing", status="retrying", first_failed_at=timezone.now())
    behind = deliver(definition, customer_ref="failing")
    claimed = claims.claim(definition.integration_id, 10, "me")
    assert {row.id for row in claimed} == {str(free.pk), str(retrying.pk)}
    assert set(EventDelivery.objects.filter(status="queued")) == {waiting, behind}
    assert EventDelivery.objects.get(pk=sending.pk).lease_owner == ""
