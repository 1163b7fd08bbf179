"""Recording: one row per definition, frozen, once, in the caller's transaction."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from unittest import mock

import pytest
from django.db import OperationalError, connections, transaction
from django.utils import timezone

from events import Activity, bell, record, record_many
from events.models import EventDefinition, EventDelivery
from integrations.models import Integration, Status
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def definition():
    return make.definition()


@pytest.fixture
def merchant(definition):
    return definition.integration.merchant


def test_an_activity_becomes_one_queued_delivery_with_a_frozen_payload(definition, merchant):
    (delivery,) = record(make.activity(merchant, properties={"coins": 50, "title": None, "at": datetime(2026, 1, 1, tzinfo=UTC)}))
    stored = EventDelivery.objects.get()
    assert stored == delivery and stored.status == "queued" and stored.event_name == "Wallet Coins Rewarded"
    assert stored.payload["coins"] == 50 and "title" not in stored.payload
    assert stored.payload["at"] == "2026-01-01T00:00:00+00:00"
    assert stored.payload["nector_delivery_id"] == str(stored.pk)
    assert stored.payload["business_name"] == "Acme" and stored.payload["user_email"] == "asha@example.com"
    assert len(stored.payload["nector_click_url"]) < 512 and len(stored.payload["nector_open_url"]) < 512
    assert stored.destination == merchant.website


def test_what_is_frozen_does_not_follow_later_changes(definition, merchant):
    record(make.activity(merchant))
    merchant.name = "Renamed"
    merchant.save()
    definition.name = "Other Name"
    definition.save()
    stored = EventDelivery.objects.get()
    assert stored.payload["business_name"] == "Acme" and stored.event_name == "Wallet Coins Rewarded"


def test_recorded_again_it_returns_the_existing_and_adds_none(merchant):
    activity = make.activity(merchant)
    first, again = record(activity), record(activity)
    assert first == again and EventDelivery.objects.count() == 1


def test_a_definition_added_since_gets_nothing_of_a_repeated_activity(definition, merchant):
    activity = make.activity(merchant)
    first = record(activity)
    make.definition(definition.integration, name="A second name")
    assert record(activity) == first and EventDelivery.objects.count() == 1


def test_one_row_for_each_enabled_definition_of_this_merchant_only(definition, merchant):
    make.definition(definition.integration, name="Second")
    make.definition(definition.integration, name="Off", enabled=False)
    make.definition(definition.integration, trigger="coupon_create", name="Coupon")
    make.definition(make.integration(make.merchant("other")))
    assert {row.event_name for row in record(make.activity(merchant))} == {"Wallet Coins Rewarded", "Second"}


def test_a_disabled_or_never_connected_integration_records_nothing(definition, merchant):
    Integration.objects.update(enabled=False)
    assert record(make.activity(merchant)) == []


@pytest.mark.parametrize("status", [Status.PAUSED, Status.ATTENTION])
def test_a_stopped_integration_holds_what_is_recorded(merchant, status):
    Integration.objects.update(status=status)
    assert record(make.activity(merchant))[0].status == "held"


@pytest.mark.parametrize(
    ("defined", "happened", "status"),
    [
        ("all", "", "queued"),
        ("all", "pos", "queued"),
        ("pos", "pos", "queued"),
        ("pos", "app", "skipped"),
        ("pos", "", "skipped"),
    ],
)
def test_the_portal_filters_and_says_so(definition, merchant, defined, happened, status):
    EventDefinition.objects.update(portal=defined)
    (row,) = record(make.activity(merchant, portal=happened))
    assert row.status == status and row.reason == ("filtered" if status == "skipped" else "")


@pytest.mark.parametrize("customer_id", ["", None, "0", "null"])
def test_a_customer_without_identity_is_a_skipped_row_with_the_reason(merchant, customer_id, rung):
    (row,) = record(make.activity(merchant, recipient={"customer_id": customer_id, "email": "a@x.io"}))
    assert (row.status, row.reason, row.next_attempt_at) == ("skipped", "no_identity", None)
    assert rung == []


def test_imported_activity_starts_no_journey(merchant):
    (row,) = record(make.activity(merchant, is_backfill=True))
    assert (row.status, row.reason, row.is_backfill) == ("skipped", "backfill", True)


def test_a_rollback_leaves_no_trace_and_rings_for_nobody(merchant, rung, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True) as callbacks, pytest.raises(RuntimeError), transaction.atomic():
        record(make.activity(merchant))
        raise RuntimeError
    assert EventDelivery.objects.count() == 0 and rung == [] and callbacks == []


def test_a_commit_rings_once_however_many_were_recorded(definition, merchant, rung, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        record_many([make.activity(merchant) for _ in range(10)])
        record(make.activity(merchant))
    assert rung == [definition.integration.pk]


def test_a_queue_that_is_down_does_not_fail_the_save(merchant, django_capture_on_commit_callbacks):
    with (
        mock.patch("events.bell.async_task", side_effect=ConnectionError("redis is down")),
        django_capture_on_commit_callbacks(execute=True),
    ):
        record(make.activity(merchant))
    assert EventDelivery.objects.get().status == "queued"


def test_many_activities_of_many_triggers_keep_their_order(definition, merchant):
    make.definition(definition.integration, trigger="coupon_create", name="Coupon Is Created")
    triggers = ["walletreward_create", "coupon_create", "coins_redeemed"] * 50
    rows = record_many([make.activity(merchant, trigger=trigger, properties={"n": n}) for n, trigger in enumerate(triggers)])
    assert [row.payload["n"] for row in rows] == [n for n in range(150) if n % 3 != 2]
    assert [row.pk for row in rows] == sorted(row.pk for row in rows)
    assert EventDelivery.objects.count() == 100


def test_values_that_json_cannot_keep_are_frozen_readably(merchant):
    (row,) = record(
        make.activity(merchant, properties={"price": Decimal("9.90"), "whole": Decimal("9"), "nan": float("nan"), "set": {1}})
    )
    assert row.payload["price"] == 9.9 and row.payload["whole"] == 9 and "nan" not in row.payload and row.payload["set"] == [1]


@pytest.mark.parametrize(
    "wrong",
    [{"trigger": "nonsense"}, {"occurred_at": datetime(2026, 1, 1)}, {"key": ""}, {"key": "x" * 201}, {"customer_ref": ""}],  # noqa: DTZ001
)
def test_an_impossible_activity_is_refused_where_it_is_made(merchant, wrong):
    with pytest.raises(ValueError, match=r".+"):
        make.activity(merchant, **wrong)


def test_the_corrected_spelling_of_a_misspelt_topic_is_accepted(merchant):
    assert make.activity(merchant, trigger="wallettransaction_update").trigger == "wallettrasaction_update"


@pytest.mark.django_db(transaction=True)
def test_the_same_activity_from_many_threads_is_recorded_once():
    merchant = make.definition().integration.merchant
    activity = make.activity(merchant)
    results = []

    def work():
        try:
            results.append(record(activity)[0].pk)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(12)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(results) == 12 and len(set(results)) == 1 and EventDelivery.objects.count() == 1


def test_an_activity_is_immutable(merchant):
    activity = make.activity(merchant)
    with pytest.raises(AttributeError):
        activity.trigger = "coupon_create"
    assert isinstance(activity, Activity) and activity.occurred_at <= timezone.now()


def test_what_is_enqueued_carries_numbers_only_and_the_bell_rings_once(definition, monkeypatch):
    from events import bell

    calls = []
    monkeypatch.setattr(bell, "async_task", lambda *args, **options: calls.append((args, options)))
    assert bell.ring(definition.integration.pk) and not bell.ring(definition.integration.pk)
    token = Integration.objects.get(pk=definition.integration.pk).bell_token
    assert calls == [(("events.tasks.drain", definition.integration.pk), {"q_options": {"save": False}, "token": token})]
    assert isinstance(token, int)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_away_right_after_the_commit_does_not_fail_the_save(monkeypatch, caplog):
    definition = make.definition()

    def away(*_args):
        raise OperationalError("terminating connection due to administrator command")

    monkeypatch.setattr(bell, "_ring", away)
    (row,) = record(make.activity(definition.integration.merchant))
    assert EventDelivery.objects.get().pk == row.pk
    assert f"Nobody could be rung for integration {definition.integration_id}" in caplog.text
