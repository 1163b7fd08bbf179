"""The hot path on PostgreSQL: prepared statements, payloads beside the table, plans that don't depend on statistics.

Not collected on SQLite (see conftest).
"""

from __future__ import annotations

import json
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.utils import timezone

from events import claims, record, record_many
from events.lookups import over, sent_to
from events.models import EventDelivery
from events.sql import hot_cursor
from events.stamping import STAMP_POSTGRESQL
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


def test_what_runs_at_every_wallet_change_is_prepared(definition):
    for number in range(4):
        record(make.activity(definition.integration.merchant, key=f"k{number}"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        prepared = " ".join(statement for (statement,) in cursor.fetchall())
    assert "FROM events_eventdefinition" in prepared and 'INSERT INTO "events_eventdelivery"' in prepared


def test_without_the_option_nothing_is_prepared(definition, monkeypatch):
    connection.ensure_connection()
    monkeypatch.setattr(connection.connection, "prepare_threshold", None)
    with hot_cursor(connection) as cursor, connection.cursor() as plain:
        assert type(cursor.cursor) is type(plain.cursor)


def test_a_payload_is_kept_beside_the_table():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attstorage FROM pg_attribute WHERE attrelid = 'events_eventdelivery'::regclass AND attname = 'payload'"
        )
        assert cursor.fetchone()[0] in ("e", b"e")


def quiet_statistics(definition) -> None:
    """Let the planner see a table in which nothing is under way."""
    EventDelivery.objects.bulk_create(made_sent(definition, number) for number in range(2000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE events_eventdelivery")


def made_sent(definition, number) -> EventDelivery:
    integration = definition.integration
    return EventDelivery(
        definition=definition,
        integration=integration,
        merchant_id=integration.merchant_id,
        trigger=definition.trigger,
        event_name=definition.name,
        customer_ref=f"c{number}",
        recipient=make.PERSON,
        idempotency_key=f"row:{number}",
        occurred_at=timezone.now(),
        status="sent",
        next_attempt_at=None,
    )


def plan_of(statement: str, values: list) -> str:
    """Return how the planner would go about it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}", values)
        return "\n".join(line for (line,) in cursor.fetchall())


def due_now(definition) -> list:
    """Return the values of `claims.DUE_POSTGRESQL`."""
    pk, now = definition.integration_id, timezone.now()
    return [pk, now, pk, pk, now, 0, now, pk, now, 4000]


@pytest.fixture
def no_small_tables(db):
    """Let no table be so small that it is read as a whole."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")


def test_the_stamp_finds_its_rows_by_id_whatever_the_statistics_say(definition):
    quiet_statistics(definition)
    ids = list(EventDelivery.objects.values_list("pk", flat=True)[:1000])
    assert "delivery_busy" not in plan_of(STAMP_POSTGRESQL, [[str(key) for key in ids], [1] * len(ids), "owner", timezone.now()])


def test_a_claim_joins_no_list_of_busy_customers(definition):
    quiet_statistics(definition)
    plan = plan_of(claims.DUE_POSTGRESQL, due_now(definition))
    assert "Join" not in plan and "Nested Loop" not in plan


def test_a_claim_reads_what_is_due_once(definition, no_small_tables):
    plan = plan_of(claims.DUE_POSTGRESQL, due_now(definition))
    assert plan.count("delivery_due") == 1 and "delivery_suspect" in plan


def test_a_claim_does_not_look_its_rows_up_by_id(definition, no_small_tables):
    statement = claims.CLAIM.format(chosen=claims.CHOSEN_POSTGRESQL, returned="id")
    plan = plan_of(statement, ["owner", timezone.now(), *due_now(definition)])
    assert "Tid Scan" in plan and "events_eventdelivery_pkey" not in plan


@pytest.mark.django_db(transaction=True)
def test_a_claim_leaves_out_what_somebody_else_has_locked(definition):
    shop = definition.integration.merchant
    first, second = record_many([make.activity(shop, key=f"k{number}", person=f"p{number}") for number in (1, 2)])
    elsewhere = connection.copy()
    try:
        elsewhere.set_autocommit(False)
        with elsewhere.cursor() as cursor:
            cursor.execute("SELECT id FROM events_eventdelivery WHERE id = %s FOR UPDATE", [first.pk])
        assert [row.id for row in claims.claim(definition.integration_id, 10, "one")] == [str(second.pk)]
        elsewhere.rollback()
    finally:
        elsewhere.close()
    assert [row.id for row in claims.claim(definition.integration_id, 10, "two")] == [str(first.pk)]
    assert set(EventDelivery.objects.values_list("status", "lease_owner")) == {("sending", "one"), ("sending", "two")}


def test_a_search_finds_its_rows_by_one_index(definition, no_small_tables):
    quiet_statistics(definition)
    found = over(EventDelivery.objects.filter(*sent_to(["nobody@example.com"], ["Nobody@example.com"])))
    assert "delivery_over_words" in plan_of(*found.query.sql_with_params())


def test_a_search_expects_few_rows_also_of_a_server_that_knows_nothing(definition):
    EventDelivery.objects.bulk_create(made_sent(definition, number) for number in range(2000))
    words = EventDelivery.objects.filter(*sent_to(["nobody@example.com"], ["Nobody@example.com"])).order_by()
    expected = json.loads(words.explain(format="json"))[0]["Plan"]["Plan Rows"]
    assert expected <= 1, (
        "of two thousand; from some million rows on it would take it for worth compiling, or for work for several"
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("people", [1, 40])
def test_recordings_at_the_same_moment_do_not_both_find_room_for_one(people):
    shop = make.merchant("shop")
    make.definition(make.integration(shop), cap_count=1)
    gate = Barrier(4)

    def run():
        gate.wait()
        record_many([make.activity(shop, person=f"p{number}", consent={}) for number in range(people)])
        connection.close()

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert EventDelivery.objects.filter(status="queued").count() == people
    assert EventDelivery.objects.filter(reason="frequency_cap").count() == 3 * people
