"""Sharing the workers: places, turns, and who is next."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from datetime import timedelta

import pytest
import responses
from django.db import connection
from django.utils import timezone

from events import bell, breaker, claims, record, record_many
from events.drain import drain, sender_of
from events.models import EventDelivery, Worker, WorkerPlace
from events.sweep import sweep
from events.tests.conftest import deliver
from events.turns import TURN_SECONDS, Turn, events_wait, most_pushes, others_wait, place, with_due_rows
from integrations.models import Integration
from nectorbridge.testing import make

OK = {"status": "success", "processed": 1, "unprocessed": []}


@pytest.fixture
def pair(db, settings):
    """Two integrations of two merchants, each with an event."""
    settings.DELIVERY_WORKERS_PER_INTEGRATION = 2
    return [make.definition(make.integration(make.merchant(slug))) for slug in ("busy", "quiet")]


def minutes_ago(minutes):
    return timezone.now() - timedelta(minutes=minutes)


# --- Places ----------------------------------------------------------------------------------------------------------------
def test_an_integration_has_so_many_workers_and_no_more(pair):
    busy, quiet = (definition.integration for definition in pair)
    with place(busy) as first, place(busy) as second, place(busy) as third:
        assert first and second and third is None
        with place(quiet) as another:
            assert another, "which is no concern of the others"
    with place(busy) as again:
        assert again
    assert not WorkerPlace.objects.exists()


def test_a_drain_without_a_place_leaves_everything_as_it_is(pair, rung):
    busy = pair[0].integration
    record(make.activity(busy.merchant))
    with place(busy), place(busy):
        assert drain(busy.pk) == 0
    row = EventDelivery.objects.get()
    assert (row.status, row.attempt_count) == ("queued", 0)


def test_a_drain_without_a_place_leaves_the_bell_rung_so_that_nobody_rings_in_vain(pair, rung):
    busy = pair[0].integration
    bell.ring(busy.pk)
    with place(busy), place(busy):
        assert drain(busy.pk) == 0
    assert bell.ring(busy.pk) is False and rung == [busy.pk]


def test_who_had_the_places_looks_again_where_somebody_rang_meanwhile(pair, rung, monkeypatch):
    busy = pair[0].integration

    def comes_too_late(_work):
        """Another event, and a drain for it that finds no place: none of it is in this drain's claim."""
        record(make.activity(busy.merchant))
        bell.ring(busy.pk)
        return 0

    monkeypatch.setattr("events.drain._sent_by", comes_too_late)
    assert drain(busy.pk) == 0
    assert rung == [busy.pk] * 2, "by the one who came, and by the drain for what is left"


def test_a_drain_that_found_nothing_and_that_nobody_rang_for_does_not_ring_for_ever(pair, rung, monkeypatch):
    busy = pair[0].integration
    record(make.activity(busy.merchant))  # due, but not to be claimed now
    monkeypatch.setattr("events.drain._sent_by", lambda _work: 0)
    assert drain(busy.pk) == 0 and rung == []


def test_only_the_place_that_was_taken_first_is_no_second_one(pair):
    busy, quiet = (definition.integration for definition in pair)
    with place(quiet), place(busy) as first, place(busy) as second:
        assert not first.is_second() and second.is_second()
        WorkerPlace.objects.filter(pk=first.row.pk).update(lease_until=minutes_ago(1))
        assert not second.is_second(), "a worker that died is none"


def test_profiles_are_pushed_beside_the_events_and_one_worker_is_left_to_the_others(pair, settings):
    busy = pair[0].integration
    for workers, events, together in [(4, 2, 2), (8, 4, 4), (3, 1, 2), (2, 1, 1), (1, 1, 1)]:
        settings.DELIVERY_WORKERS, settings.DELIVERY_WORKERS_PER_INTEGRATION = workers, max(1, workers // 2)
        with ExitStack() as stack:
            assert bool(stack.enter_context(place(busy, is_push=True)))
            assert stack.enter_context(place(busy, is_push=True)) is None, "one pushes"
            beside = [stack.enter_context(place(busy)) for _ in range(workers)]
            assert sum(map(bool, beside)) == together - 1
        with ExitStack() as stack:
            assert sum(bool(stack.enter_context(place(busy))) for _ in range(workers)) == events


def test_pushes_have_half_of_the_workers_at_most_whoever_they_are_for(db, settings):
    settings.DELIVERY_WORKERS = 4
    for number in range(4):
        make.integration(make.merchant(f"m{number}"))
    with ExitStack() as stack:
        got = [bool(stack.enter_context(place(row, is_push=True))) for row in Integration.objects.order_by("pk")]
        assert got == [True, True, False, False]
    Worker.objects.create(name="one:1")
    Worker.objects.create(name="another:1")
    assert most_pushes() == 4, "of each cluster"
    settings.DELIVERY_WORKERS = 1
    assert most_pushes() == 2


def test_whose_provider_is_slow_does_not_hold_the_last_two_workers(pair, settings):
    settings.WORKER_PROCESSES = 3
    busy, quiet = (definition.integration for definition in pair)
    with place(busy), place(quiet) as another:
        assert another, "a first worker comes in any case"
        with place(busy) as last:
            assert last is None
        with place(make.integration(make.merchant("third"))) as third:
            assert third
    with place(busy), place(busy) as second:
        assert second, "as one is free for others"
        with place(quiet) as another:
            assert another
    settings.WORKER_PROCESSES = 2
    with place(busy), place(busy) as second:
        assert second, "where it may have all of them it is so by choice"


def test_workers_of_all_clusters_count_as_free(pair, settings):
    settings.WORKER_PROCESSES = 3
    Worker.objects.create(name="one:1")
    Worker.objects.create(name="another:1")
    busy, quiet = (definition.integration for definition in pair)
    with place(busy), place(quiet), place(busy) as second:
        assert second


def test_an_account_with_a_rate_has_one_worker_for_its_events(pair):
    busy = pair[0].integration
    with place(busy, is_single=True) as first, place(busy, is_single=True) as second, place(busy, is_push=True) as push:
        assert first and second is None and push


def test_while_nobody_knows_whether_its_provider_answers_it_has_one(pair):
    busy = pair[0].integration
    breaker.failed(busy, timezone.now())
    with place(busy) as first, place(busy) as second:
        assert first and second is None


def test_the_place_of_a_worker_that_died_comes_back_when_its_lease_is_over(pair, settings):
    settings.DELIVERY_WORKERS_PER_INTEGRATION = 1
    busy = pair[0].integration
    lost = WorkerPlace.objects.create(integration=busy, lease_until=timezone.now() + timedelta(seconds=5))
    with place(busy) as taken:
        assert taken is None
    WorkerPlace.objects.filter(pk=lost.pk).update(lease_until=timezone.now() - timedelta(seconds=0.01))
    with place(busy) as taken:
        assert taken
    sweep()
    assert not WorkerPlace.objects.exists()


def test_a_place_outlives_the_longest_call_and_is_renewed_before_each(pair, settings):
    settings.DELIVERY_HTTP_TIMEOUT_SECONDS = 10.0
    with place(pair[0].integration) as held:
        longest = timezone.now() + timedelta(seconds=10)
        assert WorkerPlace.objects.get().lease_until > longest
        WorkerPlace.objects.update(lease_until=longest)
        held.keep()
        assert WorkerPlace.objects.get().lease_until == longest, "just taken: not yet"
        held.taken_at -= 4
        held.keep()
        assert WorkerPlace.objects.get().lease_until > longest


@pytest.mark.django_db(transaction=True)
def test_of_workers_that_come_at_the_same_moment_no_more_get_a_place_than_may(settings):
    settings.DELIVERY_WORKERS_PER_INTEGRATION = 3
    integration = make.definition().integration
    gate, leave, got = threading.Barrier(8), threading.Event(), []

    def come():
        try:
            gate.wait()
            with place(Integration.objects.get(pk=integration.pk)) as taken:
                got.append(bool(taken))
                leave.wait(20)
        finally:
            connection.close()

    workers = [threading.Thread(target=come) for _ in range(8)]
    for worker in workers:
        worker.start()
    while len(got) < 8 and any(worker.is_alive() for worker in workers):
        leave.wait(0.05)
    leave.set()
    for worker in workers:
        worker.join()
    assert sorted(got) == [False] * 5 + [True] * 3


# --- Turns -----------------------------------------------------------------------------------------------------------------
def test_who_has_due_rows_and_no_worker_waits_although_no_bell_was_rung_and_is_rung_for(pair, rung):
    busy, quiet = (definition.integration for definition in pair)
    deliver(pair[1], next_attempt_at=minutes_ago(1))
    assert others_wait(busy.pk) is True and rung == [quiet.pk]


def test_a_rung_bell_alone_makes_nobody_wait(pair):
    busy, quiet = (definition.integration for definition in pair)
    Integration.objects.filter(pk=quiet.pk).update(bell_rung_at=timezone.now())
    assert others_wait(busy.pk) is False


@pytest.mark.parametrize(
    "values",
    [
        {"hold_until": timezone.now() + timedelta(hours=1)},
        {"status": "paused"},
        {"enabled": False},
        {"breaker_until": timezone.now() + timedelta(hours=1)},
        {"breaker_until": timezone.now(), "breaker_probe_until": timezone.now() + timedelta(hours=1)},
    ],
)
def test_who_may_not_send_waits_for_no_worker(pair, values):
    busy, quiet = (definition.integration for definition in pair)
    deliver(pair[1], next_attempt_at=minutes_ago(1))
    Integration.objects.filter(pk=quiet.pk).update(**values)
    assert others_wait(busy.pk) is False


def test_who_has_a_worker_or_just_had_one_does_not_wait(pair):
    busy, quiet = (definition.integration for definition in pair)
    deliver(pair[1], next_attempt_at=minutes_ago(1))
    with place(quiet):
        assert others_wait(busy.pk) is False
    Integration.objects.filter(pk=quiet.pk).update(served_at=timezone.now())
    assert others_wait(busy.pk) is False
    Integration.objects.filter(pk=quiet.pk).update(served_at=minutes_ago(1))
    assert others_wait(busy.pk) is True


def test_whose_profiles_alone_are_pushed_waits_for_a_worker(pair):
    busy, quiet = (definition.integration for definition in pair)
    deliver(pair[1], next_attempt_at=minutes_ago(1))
    with place(quiet, is_push=True):
        assert others_wait(busy.pk) is True


def test_events_wait_where_no_worker_came_for_them_and_are_rung_for(pair, rung):
    quiet = pair[1].integration
    assert events_wait() is False
    row = deliver(pair[1], next_attempt_at=timezone.now())
    assert events_wait() is False, "an idle worker may be on its way"
    EventDelivery.objects.filter(pk=row.pk).update(next_attempt_at=minutes_ago(1))
    with place(quiet, is_push=True):
        assert events_wait() is True and rung == [quiet.pk], "its own as well"
    with place(quiet):
        assert events_wait() is False


def test_events_that_a_worker_left_because_they_wait_for_something_else_keep_no_push_away(pair):
    deliver(pair[1], next_attempt_at=minutes_ago(2))
    Integration.objects.update(served_at=minutes_ago(1))
    assert events_wait() is False
    deliver(pair[1], next_attempt_at=minutes_ago(0.5))
    assert events_wait() is True


def test_a_turn_goes_on_where_a_worker_is_free_for_the_others_and_ends_where_none_came(pair, rung, settings):
    settings.DELIVERY_WORKERS = settings.WORKER_PROCESSES = 2
    busy, quiet = (definition.integration for definition in pair)
    deliver(pair[1], next_attempt_at=minutes_ago(1))
    with place(busy):
        turn = Turn(busy.pk)
        turn.asks_next -= TURN_SECONDS
        assert turn.is_over() is False and rung == [quiet.pk], "the free one is rung for"
        turn.asks_next -= TURN_SECONDS
        assert turn.is_over() is True, "nobody came"


def test_a_turn_ends_once_others_wait_and_stays_over(pair, settings):
    settings.DELIVERY_WORKERS = settings.WORKER_PROCESSES = 1
    busy = pair[0].integration
    waiting = deliver(pair[1], next_attempt_at=minutes_ago(1))
    turn = Turn(busy.pk)
    with place(busy):
        assert turn.is_over() is False, "everybody has two seconds"
        turn.asks_next -= TURN_SECONDS
        assert turn.is_over() is True
        waiting.delete()
        assert turn.is_over() is True


def test_a_million_coins_of_one_merchant_give_way_and_the_rest_is_rung_for(pair, rung, monkeypatch, settings):
    settings.DELIVERY_WORKERS = settings.WORKER_PROCESSES = 1
    busy, quiet = (definition.integration for definition in pair)
    monkeypatch.setattr("events.turns.TURN_SECONDS", 0.0)
    monkeypatch.setattr("events.waves.CLAIMED_AT_LEAST", 10)
    monkeypatch.setattr("events.waves.filling", lambda _limits: 10)
    record_many([make.activity(busy.merchant, person=f"p{n}", recipient={"customer_id": f"p{n}"}) for n in range(35)])
    deliver(pair[1], next_attempt_at=minutes_ago(1))
    with responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, json=OK)
        assert drain(busy.pk) == 10
    assert rung[-2:] == [quiet.pk, busy.pk], "first who waited, then who gave way"
    assert EventDelivery.objects.filter(integration=busy, status="queued", lease_owner="").count() == 25


def test_a_long_queue_calls_once_a_turn_for_a_second_worker_where_several_can_write(pair, rung):
    turn = Turn(pair[0].integration_id)
    turn.call_for_help()
    turn.call_for_help()
    assert rung == ([pair[0].integration_id] if connection.vendor == "postgresql" else [])


def test_the_sweep_rings_first_for_whom_no_worker_has_turned_to_for_longest(db, rung):
    definitions = [make.definition(make.integration(make.merchant(f"m{n}"))) for n in range(4)]
    for definition, served_at in zip(definitions, [minutes_ago(1), minutes_ago(3), None, minutes_ago(2)], strict=True):
        deliver(definition, next_attempt_at=minutes_ago(5))
        Integration.objects.filter(pk=definition.integration_id).update(served_at=served_at)
    sweep()
    order = [definitions[n].integration_id for n in (2, 1, 3, 0)]
    assert rung == order
    assert list(with_due_rows(timezone.now()).values_list("pk", flat=True)) == order


def test_a_drain_notes_that_it_turned_to_its_integration(pair):
    before = timezone.now()
    drain(pair[0].integration_id)
    assert Integration.objects.get(pk=pair[0].integration_id).served_at >= before


def test_a_drain_begins_with_what_fills_its_calls_and_claims_more_once_that_was_taken(pair, monkeypatch):
    busy = pair[0].integration
    monkeypatch.setattr("events.waves.CLAIMED_AT_LEAST", 30)
    monkeypatch.setattr("events.waves.filling", lambda _limits: 10)
    asked, claim = [], claims.claim
    monkeypatch.setattr("events.claims.claim", lambda pk, limit, *more: asked.append(limit) or claim(pk, limit, *more))
    record_many([make.activity(busy.merchant, person=f"p{n}", recipient={"customer_id": f"p{n}"}) for n in range(35)])
    with responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, json=OK)
        assert drain(busy.pk) == 35
    assert asked[0] == 10 and set(asked[1:]) == {30}


@pytest.mark.django_db(transaction=True)
def test_the_next_wave_is_claimed_while_calls_of_the_one_before_are_under_way(monkeypatch):
    integration = make.definition(make.integration(make.merchant("busy"))).integration
    monkeypatch.setattr("events.waves.wave_size", lambda _limits: (20, 5))
    monkeypatch.setattr("events.waves.filling", lambda _limits: 20)
    record_many([make.activity(integration.merchant, person=f"p{n}", recipient={"customer_id": f"p{n}"}) for n in range(60)])
    work, seen, claim = sender_of(integration), [], claims.claim

    def claiming(pk, limit, *more):
        seen.append(len(work.under_way))
        return claim(pk, limit, *more)

    def slowly(_request):
        time.sleep(0.1)
        return 200, {}, '{"status": "success", "processed": 5, "unprocessed": []}'

    monkeypatch.setattr("events.claims.claim", claiming)
    with responses.RequestsMock() as provider:
        provider.add_callback(responses.POST, make.UPLOAD, slowly)
        assert work.run() == 60
    assert seen[0] == 0 and seen[1] > 0, "the second claim did not wait for the first wave's calls"
    assert set(EventDelivery.objects.values_list("status", flat=True)) == {"sent"} and not work.under_way
