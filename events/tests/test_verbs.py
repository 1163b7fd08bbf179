from __future__ import annotations

import pytest
from django.utils import timezone

from events import bell, verbs
from events.states import State
from events.tests.conftest import deliver


@pytest.fixture
def rung(monkeypatch):
    calls = []
    monkeypatch.setattr(bell, "ring", calls.append)
    return calls


@pytest.mark.parametrize("state", verbs.RETRYABLE)
def test_retry_gives_a_fresh_budget_and_rings_after_the_commit(definition, rung, django_capture_on_commit_callbacks, state):
    used = {"failure_count": 18, "uncertain_count": 2, "first_failed_at": timezone.now(), "attempt_count": 18}
    delivery = deliver(definition, status=state, reason="exhausted", **used)
    with django_capture_on_commit_callbacks(execute=True):
        assert verbs.retry(delivery)
        assert not rung
    delivery.refresh_from_db()
    assert (delivery.status, delivery.reason, delivery.failure_count, delivery.uncertain_count) == ("queued", "", 0, 0)
    assert delivery.first_failed_at is None and delivery.next_attempt_at <= timezone.now()
    assert delivery.attempt_count == 18  # the history stays
    assert rung == [definition.integration_id]


@pytest.mark.parametrize("status", ["paused", "attention", "draft"])
def test_retry_is_held_where_the_integration_cannot_send(definition, rung, django_capture_on_commit_callbacks, status):
    definition.integration.status = status
    definition.integration.save()
    delivery = deliver(definition, status="failed")
    with django_capture_on_commit_callbacks(execute=True):
        assert verbs.retry(delivery)
    delivery.refresh_from_db()
    assert delivery.status == "held" and not rung


@pytest.mark.parametrize("state", [state for state in State if state not in verbs.RETRYABLE])
def test_nothing_else_is_retried(definition, rung, state):
    delivery = deliver(definition, status=state)
    assert not verbs.retry(delivery)
    delivery.refresh_from_db()
    assert delivery.status == state


@pytest.mark.parametrize("state", list(State))
def test_only_what_waits_is_cancelled(definition, state):
    delivery = deliver(definition, status=state)
    assert verbs.cancel(delivery) is (state in verbs.CANCELLABLE)
    delivery.refresh_from_db()
    assert delivery.status == ("cancelled" if state in verbs.CANCELLABLE else state)
