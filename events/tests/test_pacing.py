"""A rate is kept whatever is slow: the database, the threads, a clock that was wrong."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from events.models import Call
from events.pacing import Gate
from events.stamping import PACE_AHEAD, PACE_LEAD, Allowance, stamp
from events.stream import Stream
from integrations.models import Integration
from integrations.providers.base import Call as ProviderCall
from integrations.providers.base import Limits, Record, Request
from nectorbridge.testing import make

LIMITS = Limits(records_per_call=1, bytes_per_call=1000, calls_in_flight=32)


def contact_calls(integration, count):
    now = timezone.now()
    return [Call(integration=integration, started_at=now, lease_until=now + timedelta(seconds=60)) for _ in range(count)]


@pytest.fixture
def integration(db):
    settings = {"list_name": "Ours", "requests_per_second": 10}
    return make.integration(provider="mailmodo", common_property="email", settings=settings, secrets={"api_key": "k-1"})


def test_calls_that_all_awake_late_leave_no_faster_than_the_rate():
    gate = Gate(20)
    with ThreadPoolExecutor(30) as pool:
        left = sorted(pool.map(lambda _: gate.wait() or time.monotonic(), range(30)))
    assert all(later - earlier >= 1.0 for earlier, later in zip(left[:-20], left[20:], strict=True))


def test_moments_begin_after_the_wait_for_the_lock(integration):
    rows = contact_calls(integration, 5)
    for row in rows:
        row.started_at -= timedelta(seconds=3)  # as long as the lock was waited for
    now = timezone.now()
    leaving = stamp(rows, [[]] * 5, "", Allowance(LIMITS, 10))
    assert leaving[0].started_at >= now + PACE_LEAD
    assert all(row.lease_until - row.started_at == timedelta(seconds=63) for row in leaving)


def test_a_push_beside_a_drain_leaves_a_moment_free_since_its_calls_may_be_late(integration):
    drain, push = Allowance(LIMITS, 10), Allowance(LIMITS, 10, is_beside=True, is_fresh=True)
    rows = [*stamp(contact_calls(integration, 2), [[]] * 2, "", drain), *stamp(contact_calls(integration, 2), [[]] * 2, "", push)]
    rows += stamp(contact_calls(integration, 1), [[]], "", drain)
    gaps = [round((later.started_at - earlier.started_at).total_seconds(), 3) for earlier, later in pairwise(rows)]
    assert gaps == [0.102, 0.204, 0.204, 0.204]


def test_a_commit_that_took_longer_than_the_moments_moves_them_all_on(integration):
    stream = Stream(integration, integration.account())
    call = ProviderCall(Request("POST", "https://toy.example"), (Record(customer_ref="1", profile_hash="h"),))
    flights = stream.stamp([call] * 5, {})
    until = Integration.objects.get().paced_until
    assert stream.in_time(flights) == flights and Integration.objects.get().paced_until == until
    time.sleep(0.3)
    moved = stream.in_time(flights)
    assert moved[0].leaves_at >= time.monotonic() - 0.1
    gaps = [round(later.leaves_at - earlier.leaves_at, 3) for earlier, later in pairwise(moved)]
    assert gaps == [0.102] * 4 and Integration.objects.get().paced_until >= until + timedelta(seconds=0.2)


def test_a_moment_far_in_the_future_comes_from_a_wrong_clock_and_blocks_nobody(integration):
    Integration.objects.update(paced_until=timezone.now() + timedelta(hours=3))
    leaving = stamp(contact_calls(integration, 2), [[], []], "", Allowance(LIMITS, 0.1))
    assert len(leaving) == 1 and leaving[0].started_at < timezone.now() + PACE_AHEAD
    assert not stamp(contact_calls(integration, 2), [[], []], "", Allowance(LIMITS, 0.1)), "the next moment is in ten seconds"
