from __future__ import annotations

import threading
import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from events import bell, bulk, bulk_filter, bulk_run, runs, sweep, verbs
from events.bulk_filter import DeliveryFilter
from events.models import BulkAction, EventDelivery
from events.tests.conftest import deliver
from integrations.models import Membership
from nectorbridge.testing import make

FAILED = DeliveryFilter(statuses=("failed",))


@pytest.fixture(autouse=True)
def small(monkeypatch, settings):
    """Small batches and windows, so that a dozen rows are many; and a host that knows nobody."""
    monkeypatch.setattr(bulk_run, "BATCH", 3)
    monkeypatch.setattr(bulk_filter, "FIRST_PARTS", 5)
    monkeypatch.setattr(bulk_filter, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(bulk_filter, "SLOW_SECONDS", 60.0)
    settings.NECTORBRIDGE_HOST = ""


@pytest.fixture
def user(integration):
    user = get_user_model().objects.create_user("meera", is_staff=True)
    Membership.objects.create(merchant=integration.merchant, user=user)
    return user


@pytest.fixture
def tasks(monkeypatch) -> list[int]:
    """Return the runs of which a turn was asked for."""
    asked: list[int] = []
    monkeypatch.setattr(bell, "async_task", lambda task, pk, **_more: asked.append(pk) if task == bell.BULK_TASK else None)
    return asked


def begin(user, definition, what="retry", wanted=FAILED, token=None) -> BulkAction:
    action = bulk.start(what, wanted, definition.integration.merchant, user, token or uuid.uuid4())
    assert action is not None
    return action


def fail(definition, count, **values) -> list[EventDelivery]:
    return [deliver(definition, status="failed", customer_ref=f"c{number}", **values) for number in range(count)]


def walk_of(action) -> bulk_filter.Walk:
    """Return a walk of one window, so that a batch is as full as it may be."""
    walk = bulk_filter.Walk(action.lower_id, action.upper_id)
    walk.size = 2**127
    return walk


def states() -> Counter[str]:
    return Counter(EventDelivery.objects.values_list("status", flat=True))


# --- What it does --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("what", "before", "after"),
    [
        ("retry", {"failed": 7, "sent": 5, "cancelled": 2}, {"queued": 9, "sent": 5}),
        ("replay", {"sent": 7, "queued": 5}, {"sent": 7, "queued": 12}),
        ("cancel", {"queued": 4, "held": 3, "retrying": 2, "sent": 5, "failed": 2}, {"cancelled": 9, "sent": 5, "failed": 2}),
    ],
)
def test_a_run_does_it_to_all_whose_state_allows_it_and_to_no_other(definition, user, what, before, after):
    for state, number in before.items():
        for _number in range(number):
            deliver(definition, status=state)
    wanted = {"retry": 9, "replay": 7, "cancel": 9}[what]
    action = begin(user, definition, what, DeliveryFilter())

    assert bulk_run.run(action.pk) == wanted

    action.refresh_from_db()
    assert states() == after
    assert (action.state, action.total, action.handled, action.touched) == ("done", wanted, wanted, wanted)
    assert action.ended_at and not action.lease_owner and bulk_run.run(action.pk) == 0


def test_what_it_left_out_is_counted_by_reason(definition, user):
    fail(definition, 4)
    fail(make.definition(definition.integration, name="Off", enabled=False), 3)
    fail(definition, 2, payload={})
    action = begin(user, definition)
    bulk_run.run(action.pk)
    action.refresh_from_db()
    assert (action.handled, action.touched) == (9, 4)
    assert action.counts == {"queued": 4, "switched_off": 3, "no_content": 2}
    assert states() == {"queued": 4, "failed": 5}


def test_what_is_recorded_after_the_start_does_not_slip_in(definition, user):
    fail(definition, 2)
    action = begin(user, definition)
    late = deliver(definition, status="failed")
    bulk_run.run(action.pk)
    late.refresh_from_db()
    assert late.status == "failed" and states() == {"queued": 2, "failed": 1}


def test_a_run_never_replays_its_own_replays_even_where_clocks_differ(definition, user):
    deliver(definition, status="sent")
    action = begin(user, definition, "replay", DeliveryFilter())
    BulkAction.objects.filter(pk=action.pk).update(upper_id=uuid.UUID(int=2**128 - 1))  # a clock that was far ahead
    bulk.RUNS.lease(action.pk, "w")
    action.refresh_from_db()
    bulk_run._batch(action, "w", walk_of(action))
    EventDelivery.objects.filter(replay_of__isnull=False).update(status="sent")
    BulkAction.objects.filter(pk=action.pk).update(
        lease_owner="", lease_until=None, state="running", ended_at=None, cursor=uuid.UUID(int=0)
    )
    bulk_run.run(action.pk)
    assert EventDelivery.objects.filter(replay_of__isnull=False).count() == 1


# --- The filter ----------------------------------------------------------------------------------------------------------
def test_the_filter_is_frozen_and_thawed_without_loss():
    wanted = DeliveryFilter(
        3, ("failed", "sent"), "refused", 4, 5, "pos", False, ("c1", "c2"), "x@example.com", uuid.uuid4(), uuid.uuid4()
    )
    assert DeliveryFilter.thawed(wanted.frozen()) == wanted
    assert DeliveryFilter().frozen() == {} and DeliveryFilter.thawed({}) == DeliveryFilter()
    assert DeliveryFilter.thawed({"customer_ref": "c1"}) == DeliveryFilter(customer_refs=("c1",)), (
        "frozen before there were several"
    )


def test_a_filter_with_a_part_that_nobody_knows_runs_nothing(definition, user):
    fail(definition, 2)
    action = begin(user, definition)
    BulkAction.objects.filter(pk=action.pk).update(filter={**action.filter, "colour": "red"})
    for _try in range(runs.PATIENCE):
        BulkAction.objects.filter(pk=action.pk).update(next_at=timezone.now())
        assert bulk_run.run(action.pk) == 0
    action.refresh_from_db()
    assert (action.state, states()) == ("stopped", {"failed": 2})
    assert "error of ours" in action.message


@pytest.mark.parametrize("what", ["retry", "replay", "cancel"])
def test_another_merchants_rows_are_never_touched(definition, user, what):
    elsewhere = make.definition(make.integration(make.merchant("other")))
    for place in (definition, elsewhere):
        for state in ("failed", "queued"):
            deliver(place, status=state)
    theirs = list(EventDelivery.objects.filter(merchant=elsewhere.integration.merchant).values())
    tampered = DeliveryFilter(merchant_id=elsewhere.integration.merchant_id)
    action = begin(user, definition, what, tampered)
    BulkAction.objects.filter(pk=action.pk).update(filter=tampered.frozen())
    bulk_run.run(action.pk)
    assert list(EventDelivery.objects.filter(merchant=elsewhere.integration.merchant).values()) == theirs
    action.refresh_from_db()
    assert action.touched == 1


def test_counting_stops_at_the_limit_and_when_it_takes_too_long(definition, monkeypatch):
    fail(definition, 9)
    assert bulk.count("retry", FAILED) == bulk_filter.Counted(9)
    monkeypatch.setattr(bulk, "COUNT_LIMIT", 6)
    assert bulk.count("retry", FAILED) == bulk_filter.Counted(6, True)
    monkeypatch.setattr(bulk, "COUNT_SECONDS", -1.0)
    counted = bulk.count("retry", FAILED)
    assert counted.is_more and counted.number < 9, "one window: the newest"


def test_windows_grow_while_they_are_quick_and_shrink_when_they_are_slow(monkeypatch):
    walk = bulk_filter.Walk(uuid.UUID(int=1), uuid.UUID(int=101))
    assert walk.size == 20
    monkeypatch.setattr(bulk_filter, "QUICK_SECONDS", 60.0)
    with walk.timed():
        pass
    assert walk.size == 40
    monkeypatch.setattr(bulk_filter, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(bulk_filter, "SLOW_SECONDS", -1.0)
    for _statement in range(10):
        with walk.timed():
            pass
    assert walk.size == 1


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 8])
def test_windows_miss_nothing_at_their_edges(definition, user, rows):
    fail(definition, rows)
    merchant = definition.integration.merchant
    assert bulk.count("retry", FAILED.of(merchant.pk)).number == rows
    pages = list(bulk_filter.newest_first(FAILED, FAILED.rows(), 3))
    found = [row.pk for page in pages for row in page]
    assert found == list(EventDelivery.objects.order_by("-id").values_list("pk", flat=True))
    action = bulk.start("retry", FAILED, merchant, user, uuid.uuid4())
    assert (action is None) is (rows == 0)
    if action:
        bulk_run.run(action.pk)
        assert states() == {"queued": rows}


# --- One run, whoever asks -----------------------------------------------------------------------------------------------
def test_two_clicks_make_one_run(definition, user):
    fail(definition, 2)
    token = uuid.uuid4()
    first = begin(user, definition, token=token)
    assert begin(user, definition, token=token) == first
    assert begin(user, definition) == first, "another tab: the same thing is under way"
    bulk_run.run(first.pk)
    assert begin(user, definition, token=token) == first, "the same click, however late"
    assert bulk.start("retry", FAILED, definition.integration.merchant, user, uuid.uuid4()) is None, "nothing is left to do"
    fail(definition, 1)
    assert begin(user, definition) != first
    assert BulkAction.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_hundred_clicks_at_once_make_one_run(definition, user):
    fail(definition, 2)
    token, found = uuid.uuid4(), []

    def click():
        try:
            found.append(begin(user, definition, token=token).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20 and len(set(found)) == 1 == BulkAction.objects.count()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["retry", "replay"])
def test_many_workers_at_one_run_do_each_row_once(definition, user, what):
    fail(definition, 20)
    action = begin(user, definition, what)
    problems = []

    def work():
        try:
            for _turn in range(3):
                bulk_run.run(action.pk)
        except Exception as error:
            problems.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    action.refresh_from_db()
    assert problems == []
    assert (action.state, action.handled, action.touched, action.counts) == ("done", 20, 20, {"queued": 20})
    assert states() == ({"queued": 20} if what == "retry" else {"failed": 20, "queued": 20})


# --- Crash, stop, go on --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("what", ["retry", "replay"])
def test_a_worker_that_dies_in_the_middle_costs_nothing_but_time(definition, user, tasks, what):
    fail(definition, 8)
    action = begin(user, definition, what)
    bulk.RUNS.lease(action.pk, "dead")
    action.refresh_from_db()
    assert len(bulk_run._batch(action, "dead", walk_of(action)).ids) == 3

    assert bulk_run.run(action.pk) == 0, "its lease still holds"
    sweep.sweep()
    assert tasks == []

    BulkAction.objects.filter(pk=action.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    sweep.sweep()
    assert tasks == [action.pk]
    assert bulk_run._batch(action, "dead", walk_of(action)) is None, "whoever comes back too late changes nothing"
    assert bulk_run.run(action.pk) == 5
    action.refresh_from_db()
    assert (action.state, action.handled, action.counts) == ("done", 8, {"queued": 8})
    assert states() == ({"queued": 8} if what == "retry" else {"failed": 8, "queued": 8})


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_breaks_off_leaves_neither_rows_nor_progress_and_is_done_again(definition, user, monkeypatch):
    fail(definition, 4)
    action = begin(user, definition, "replay")
    note = bulk_run._note

    def die(*_arguments):
        raise RuntimeError("power cut")

    monkeypatch.setattr(bulk_run, "_note", die)
    assert bulk_run.run(action.pk) == 0
    action.refresh_from_db()
    assert (action.state, action.handled, action.failures, states()) == ("running", 0, 1, {"failed": 4})
    assert action.next_at > timezone.now() and not action.lease_owner

    monkeypatch.setattr(bulk_run, "_note", note)
    BulkAction.objects.filter(pk=action.pk).update(next_at=timezone.now())
    assert bulk_run.run(action.pk) == 4
    action.refresh_from_db()
    assert (action.state, action.failures, action.counts) == ("done", 0, {"queued": 4})
    assert states() == {"failed": 4, "queued": 4}


def test_a_run_is_stopped_where_it_is(definition, user):
    fail(definition, 8)
    action = begin(user, definition)
    bulk.RUNS.lease(action.pk, "w")
    action.refresh_from_db()
    bulk_run._batch(action, "w", walk_of(action))
    assert bulk.stop(action)
    assert bulk_run._batch(action, "w", walk_of(action)) is None
    assert bulk_run.run(action.pk) == 0
    action.refresh_from_db()
    assert (action.state, action.handled, action.message) == ("stopped", 3, "Stopped by hand.")
    assert states() == {"queued": 3, "failed": 5}
    assert not bulk.stop(action)


def test_a_turn_that_is_over_rings_for_the_next_one(definition, user, tasks, monkeypatch, django_capture_on_commit_callbacks):
    fail(definition, 8)
    monkeypatch.setattr(bulk_run, "TURN_SECONDS", 0.0)
    with django_capture_on_commit_callbacks(execute=True):
        action = begin(user, definition)
    assert tasks == [action.pk]
    assert bulk_run.run(action.pk) == 0
    assert tasks == [action.pk] * 2
    monkeypatch.setattr(bulk_run, "TURN_SECONDS", 5.0)
    assert bulk_run.run(action.pk) == 8 and tasks == [action.pk] * 2


# --- Who may, and when ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("change", ["viewer", "gone", "inactive", "deleted"])
def test_a_run_of_somebody_who_may_no_longer_act_stops(definition, user, change):
    fail(definition, 2)
    action = begin(user, definition)
    if change == "viewer":
        Membership.objects.update(role="viewer")
    elif change == "gone":
        Membership.objects.all().delete()
    elif change == "inactive":
        type(user).objects.update(is_active=False)
    else:
        user.delete()
    bulk_run.run(action.pk)
    action.refresh_from_db()
    assert (action.state, states()) == ("stopped", {"failed": 2})
    assert "may no longer act" in action.message


def test_a_run_waits_while_a_provider_has_enough_to_do_and_says_so(definition, user, monkeypatch):
    monkeypatch.setattr(runs, "FEWEST_AHEAD", 2)
    monkeypatch.setattr(runs, "MOST_AHEAD", 2)
    fail(definition, 2)
    for _number in range(3):
        deliver(definition, status="queued")
    action = begin(user, definition)
    assert bulk_run.run(action.pk) == 0
    action.refresh_from_db()
    assert (action.state, states()["failed"]) == ("running", 2)
    assert "CleverTap" in action.message and action.next_at > timezone.now()

    EventDelivery.objects.filter(status="queued").update(status="sent")
    BulkAction.objects.filter(pk=action.pk).update(next_at=timezone.now())
    assert bulk_run.run(action.pk) == 2
    action.refresh_from_db()
    assert (action.state, action.message) == ("done", "")


@pytest.mark.parametrize("why", ["hold_until", "breaker_until"])
def test_a_provider_that_asked_for_a_pause_or_does_not_answer_keeps_no_run_waiting(definition, user, monkeypatch, why):
    monkeypatch.setattr(runs, "MOST_AHEAD", 0)
    fail(definition, 2)
    deliver(definition, status="queued")
    type(definition.integration).objects.update(**{why: timezone.now() + timedelta(hours=1)})
    assert bulk_run.run(begin(user, definition).pk) == 2


def test_the_sweep_rings_once_however_often_it_runs(definition, user, tasks):
    fail(definition, 2)
    begin(user, definition)
    sweep.sweep()
    sweep.sweep()
    assert len(tasks) == 1


def test_every_fate_has_words_and_is_either_done_or_left_out():
    assert all(fate.label for fate in verbs.Fate)
    assert verbs.touched(dict.fromkeys(verbs.Fate, 1)) == len(verbs.TOUCHED) == 3
