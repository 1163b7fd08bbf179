"""Limits a minute: counted over a little more than a minute, in the integration's row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from events.budgets import affordable, free_at, spend
from events.models import Call
from events.stamping import Allowance, stamp
from integrations.models import Integration
from integrations.providers import all_providers
from integrations.providers.base import Limits
from nectorbridge.testing import make

T = datetime(2026, 3, 1, 10, tzinfo=UTC)
LIMIT = {"event": 100}


def test_calls_are_let_through_up_to_the_limit_and_in_order():
    wanted = [{"event": 40}] * 4
    assert affordable({}, LIMIT, wanted, T) == 2
    spent = spend({}, LIMIT, wanted[:2], T)
    assert affordable(spent, LIMIT, wanted, T + timedelta(seconds=59)) == 0
    assert affordable(spent, LIMIT, [{"event": 20}, {"event": 1}], T + timedelta(seconds=59)) == 1
    assert affordable(spent, LIMIT, wanted, T + timedelta(seconds=70)) == 2


def test_each_kind_has_its_own_limit_and_what_has_none_is_free():
    limits = {"event": 10, "customer": 5}
    spent = spend({}, limits, [{"event": 10, "other": 7}], T)
    assert affordable(spent, limits, [{"customer": 5}, {"other": 1000}, {"event": 1}], T) == 2
    assert set(spent) == {"event", "customer"}


def test_a_call_that_alone_is_over_the_limit_goes_by_itself_rather_than_never():
    assert affordable({}, LIMIT, [{"event": 500}, {"event": 1}], T) == 1


def test_what_is_old_is_forgotten_and_it_is_known_when_there_is_more():
    spent = spend({}, LIMIT, [{"event": 100}], T)
    until = free_at(spent, T + timedelta(seconds=10))
    assert timedelta(seconds=60) < until - T < timedelta(seconds=72)
    assert affordable(spent, LIMIT, [{"event": 100}], until) == 1
    assert list(spend(spent, LIMIT, [{"event": 1}], until)["event"].values()) == [1]


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 60)), max_size=60))
def test_whatever_comes_when_no_minute_ever_has_more_than_the_limit(steps):
    spent, now, sent = {}, T, []
    for wait, records in steps:
        now += timedelta(seconds=wait)
        if affordable(spent, LIMIT, [{"event": records}], now):
            spent = spend(spent, LIMIT, [{"event": records}], now)
            sent.append((now, records))
    for begin, _records in sent:
        window = [records for at, records in sent if begin <= at < begin + timedelta(seconds=66)]
        assert sum(window) <= 100


def test_the_stamp_counts_for_all_workers_and_then_leaves_the_integration_alone(db):
    make.definition()
    allowance = Allowance(Limits(100, 1000, 9), per_minute=LIMIT)

    def commit(worker, records):
        now = timezone.now()
        rows = [Call(integration=worker, started_at=now, lease_until=now + timedelta(seconds=60)) for _ in records]
        return len(stamp(rows, [[]] * len(rows), "", allowance, [{"event": number} for number in records]))

    with time_machine.travel(T, tick=False) as clock:
        assert commit(Integration.objects.get(), [40, 40, 40]) == 2
        other = Integration.objects.get()
        assert commit(other, [40]) == 0
        assert timedelta(seconds=60) < other.hold_until - T < timedelta(seconds=72)
        assert Integration.objects.get().hold_until == other.hold_until and other.hold_count == 0
        clock.shift(72)
        assert commit(Integration.objects.get(), [40, 40]) == 2


def test_moengage_declares_its_limits_a_minute_and_every_call_says_what_it_takes():
    limits = {provider.slug: dict(provider.limits.per_minute) for provider in all_providers()}
    assert limits.pop("moengage") == {"event": 30_000, "customer": 10_000, "bulk event": 60_000, "bulk customer": 60_000}
    assert not any(limits.values()), "nobody else publishes one"


@pytest.mark.parametrize("allow_bulk", [True, False])
def test_each_record_of_a_moengage_call_is_counted_once(allow_bulk):
    from integrations.providers.base import Account, Event, Profile

    contract = next(provider for provider in all_providers() if provider.slug == "moengage")
    settings = {"workspace_id": "ABCDEFGHIJ1234", "server_prefix": "01", "allow_bulk": allow_bulk}
    account = Account(settings, {"data_api_key": "k"})
    people = [f"c{n}" for n in range(30)]
    events = [Event(f"d{ref}", "E", ref, {"customer_id": ref, "email": f"{ref}@x.io"}, {}, T) for ref in people]
    profiles = {ref: Profile(ref, {"customer_id": ref, "email": f"{ref}@x.io"}) for ref in people}
    calls = contract.pack_events(account, events, profiles, T).calls
    total = {name: sum(call.spends.get(name, 0) for call in calls) for name in contract.limits.per_minute}
    bulk = {"event": 0, "customer": 0, "bulk event": 30, "bulk customer": 30}
    assert total == (bulk if allow_bulk else {"event": 30, "customer": 30, "bulk event": 0, "bulk customer": 0})
    assert all(sum(call.spends.values()) == len(call.records) for call in calls)
