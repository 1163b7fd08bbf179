"""Disconnect, as the queue lives through it: what waits is cancelled, what is in a call ends, nothing is sent afterwards."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from events import claims, holding, sweep
from events.models import Call, Contact, EventDelivery
from events.results import settle
from events.stamping import Allowance, LeaseLost, stamp
from events.states import State
from events.tests.conftest import deliver
from integrations.disconnecting import count_waiting, disconnect
from integrations.models import Integration, Status
from integrations.providers.base import Outcome, Reading, Verdict
from integrations.verification import set_status
from nectorbridge.testing import make

LEFT_ALONE = (State.SENT, State.FAILED, State.SKIPPED, State.CANCELLED)


def state_of(delivery) -> str:
    delivery.refresh_from_db()
    return delivery.status


def test_what_waits_is_counted_and_cancelled_and_the_history_stays(integration, definition):
    waiting = [deliver(definition, status=state) for state in (State.QUEUED, State.RETRYING, State.HELD)]
    over = {deliver(definition, status=state): state for state in LEFT_ALONE}
    assert count_waiting(integration) == 3

    assert disconnect(integration) == 3

    assert [state_of(delivery) for delivery in waiting] == [State.CANCELLED] * 3
    assert all(state_of(delivery) == state for delivery, state in over.items())
    assert count_waiting(integration) == 0
    assert (
        EventDelivery.objects.filter(status=State.CANCELLED, next_attempt_at__isnull=False, pk__in=[waiting[0].pk]).count() == 0
    )


def test_another_integration_is_left_alone(integration, definition):
    other = deliver(make.definition(make.integration(make.merchant("other"))))

    disconnect(integration)

    assert state_of(other) == State.QUEUED


def test_a_delivery_that_was_claimed_and_not_stamped_is_cancelled_and_leaves_in_no_call(integration, definition):
    delivery = deliver(definition)
    owner, now = claims.new_owner(), timezone.now()
    assert len(claims.claim(integration.pk, 10, owner)) == 1

    assert disconnect(integration) == 1

    call = Call(integration=integration, started_at=now, lease_until=now + timedelta(minutes=1))
    with pytest.raises(LeaseLost), transaction.atomic():
        stamp([call], [[str(delivery.pk)]], owner, Allowance(integration.contract.limits))
    assert claims.release(owner) == 0
    assert (state_of(delivery), Call.objects.count()) == (State.CANCELLED, 0)


@pytest.mark.parametrize(("outcome", "after"), [(Outcome.ACCEPTED, State.SENT), (Outcome.TRANSIENT, State.CANCELLED)])
def test_a_call_under_way_ends_and_what_it_would_try_again_is_cancelled(integration, definition, outcome, after):
    delivery, owner, now = deliver(definition), claims.new_owner(), timezone.now()
    claims.claim(integration.pk, 10, owner)
    call = Call(integration=integration, started_at=now, lease_until=now + timedelta(minutes=1))
    stamp([call], [[str(delivery.pk)]], owner, Allowance(integration.contract.limits))

    assert disconnect(integration) == 0
    assert state_of(delivery) == State.SENDING

    settle(call, Reading(Verdict(outcome)), timezone.now())
    sweep.sweep()
    assert state_of(delivery) == after


def test_a_retry_by_a_person_is_held_until_the_next_connection(integration, definition):
    from events import verbs

    delivery = deliver(definition)
    disconnect(integration)

    verbs.retry(delivery)
    sweep.sweep()
    assert state_of(delivery) == State.HELD

    integration.refresh_from_db()
    set_status(integration, Status.ACTIVE, enabled=True)
    assert state_of(delivery) == State.QUEUED


def test_holding_a_paused_queue_cancels_nothing(integration, definition):
    delivery = deliver(definition)
    set_status(integration, Status.PAUSED)

    holding.hold(integration.pk)

    assert state_of(delivery) == State.HELD


def test_profiles_are_pushed_anew_after_the_next_connection(integration):
    Contact.objects.create(integration=integration, customer_ref="c1", pushed_hash="abc", status="synced", remote_id="r1")

    disconnect(integration)

    contact = Contact.objects.get()
    assert (contact.pushed_hash, contact.status, contact.remote_id) == ("", "unknown", "r1")


def test_nothing_is_recorded_until_then_and_events_flow_again_afterwards(integration, definition):
    from events.recorder import record

    disconnect(integration)
    assert record(make.activity(integration.merchant)) == []

    integration.refresh_from_db()
    set_status(integration, Status.ACTIVE, enabled=True)
    assert [row.status for row in record(make.activity(integration.merchant))] == [State.QUEUED]


class TestACheckInTheBackground:
    """An integration that is being checked goes on recording; its queue waits a moment."""

    def test_of_an_active_one_everything_is_recorded_and_nothing_is_claimed(self, integration, definition):
        from events.recorder import record
        from integrations import background

        waiting = deliver(definition)
        background.begin(integration)
        (recorded,) = record(make.activity(integration.merchant))
        sweep.sweep()

        assert (state_of(waiting), state_of(recorded)) == (State.QUEUED, State.QUEUED)
        assert claims.claim(integration.pk, 10, claims.new_owner()) == []

    @pytest.mark.parametrize(("before", "after"), [(Status.ACTIVE, State.QUEUED), (Status.PAUSED, State.HELD)])
    def test_the_queue_is_afterwards_what_it_was_before_also_after_a_sweep(self, integration, definition, rung, before, after):
        from integrations import background
        from integrations.providers.base import Verification

        delivery = deliver(definition)
        set_status(integration, before)
        background.begin(integration)
        sweep.sweep()

        background.finish(integration, None, Verification(False, "down", "wait", reachable=False))

        assert state_of(delivery) == after

    def test_the_sweep_puts_back_what_was_interrupted(self, integration, rung):
        from integrations import background
        from integrations.models import Integration

        background.begin(integration)
        Integration.objects.update(check_started_at=timezone.now() - timedelta(minutes=3))

        sweep.sweep()

        integration.refresh_from_db()
        assert integration.status == Status.ACTIVE


@pytest.mark.django_db(transaction=True)
def test_a_disconnect_and_the_calls_that_leave_meanwhile_never_wait_for_each_other(integration, definition):
    """On PostgreSQL a stamp holds the integration's lock and wants its row: who disconnects must not have that first."""
    allowance, stop, failed = Allowance(integration.contract.limits, 1000), threading.Event(), []

    def keep_stamping():
        try:
            while not stop.is_set():
                now = timezone.now()
                with transaction.atomic():
                    rows = [Call(integration=integration, started_at=now, lease_until=now) for _ in range(3)]
                    stamp(rows, [[]] * 3, "", allowance)
                    time.sleep(0.002)
                    Integration.objects.filter(pk=integration.pk).update(paced_until=now)
                time.sleep(0.002)
        except DatabaseError as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=keep_stamping)
    thread.start()
    try:
        for _ in range(30):
            disconnect(integration)
    finally:
        stop.set()
        thread.join()
    assert not failed
