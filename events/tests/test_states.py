"""Whatever happens in whatever order: no delivery is lost, none leaves `sent`, budgets hold, no duplicate is a surprise.

A state machine over the real models and the real statements of claiming, stamping, settling and sweeping. It plays several
workers, a provider whose answers get lost, people with buttons, and a clock that only it moves.
"""

from __future__ import annotations

import os
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from events import claims, notices, record, staleness, suspects, sweep, verbs
from events.models import Call, DeliveryAttempt, EventDefinition, EventDelivery
from events.pause import leave_alone
from events.results import settle
from events.stamping import Allowance, LeaseLost, stamp
from events.states import DUE_STATES, FINAL_STATES, State
from events.waves import parts_of
from integrations.disconnecting import disconnect
from integrations.models import Integration, Status
from integrations.providers.base import Limits, Outcome, Reading, Verdict
from integrations.verification import set_status
from nectorbridge.testing import make

EXAMPLES, STEPS = int(os.environ.get("STATE_EXAMPLES", "20")), 40  # a thousand examples by hand take some minutes
ALLOWANCE = Allowance(Limits(records_per_call=3, bytes_per_call=10_000, calls_in_flight=3))
RETRY_STEPS = [5.0, 30.0, 120.0]
ARRIVED = (Outcome.ACCEPTED, Outcome.UNCERTAIN)  # after these the provider has the event, or may have it
REFERENCES = ("ann", "ben", "cem")
# To whom, whether it must never arrive twice, and for how many seconds it is worth sending.
HAPPENINGS = st.tuples(st.sampled_from(REFERENCES), st.booleans(), st.sampled_from([None, None, 20, 300]))
# What may happen next, and how often as compared with the rest: an even choice would spend its time on waiting.
ACTIONS = [
    *["things_happen"] * 3,
    *["a_worker_claims_and_sends"] * 8,
    *["a_worker_claims"] * 2,
    *["a_worker_sends_what_it_claimed_before"] * 2,
    "a_worker_stops_before_it_sends",
    *["a_worker_is_killed_while_its_call_is_under_way"] * 2,
    *["an_answer_comes"] * 4,
    *["time_passes"] * 2,
    *["the_next_try_is_due"] * 5,
    *["the_sweep_looks"] * 2,
    "the_integration_stops",
    *["it_is_mended"] * 2,
    "a_button_is_pressed",
    "the_event_is_changed",
]


@dataclass
class Claim:
    """What one worker holds."""

    owner: str
    rows: list[claims.Claimed]

    @property
    def ids(self) -> list[str]:
        return [row.id for row in self.rows]


@dataclass
class Journey:
    """What is known of one delivery from outside: where it went, in which order."""

    calls: list[int] = field(default_factory=list)  # that left with it
    was_sent: bool = False
    retried: int = 0


class Deliveries(RuleBasedStateMachine):
    """One integration with two events, one of which must never arrive twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 3, 1, 10, tzinfo=UTC)
        self.clock = mock.patch.object(timezone, "now", lambda: self.now)
        self.clock.start()
        self.claims: list[Claim] = []
        self.open: dict[int, Call] = {}
        self.journeys: dict[str, Journey] = defaultdict(Journey)
        self.arrivals: set[tuple[str, int]] = set()  # deliveries that the provider has, or may have, from which call
        self.number = 0

    def teardown(self) -> None:
        try:
            if getattr(self, "integration", None) is not None:
                self.everything_comes_to_an_end()
        finally:
            self.clock.stop()
            DeliveryAttempt.objects.all().delete()
            EventDelivery.objects.all().delete()
            Call.objects.all().delete()
            EventDefinition.objects.all().delete()
            Integration.objects.all().delete()

    @initialize(resends=st.integers(0, 2), things=st.lists(HAPPENINGS, min_size=2, max_size=6))
    def begin(self, resends: int, things: list[tuple[str, bool, int | None]]) -> None:
        merchant = make.merchant(f"m{uuid.uuid4().hex}")
        self.integration = make.integration(merchant)
        self.usual = make.definition(self.integration, uncertain_resends=resends)
        self.once = make.definition(self.integration, trigger="coupon_create", name="Once", uncertain_resends=0)
        self.happen(things)

    @rule(data=st.data(), action=st.sampled_from(ACTIONS))
    def next(self, data: Any, action: str) -> None:
        getattr(self, action)(data)

    # --- What happens ---------------------------------------------------------------------------------------------------
    def things_happen(self, data: Any) -> None:
        self.happen(data.draw(st.lists(HAPPENINGS, min_size=1, max_size=2)))

    def happen(self, things: list[tuple[str, bool, int | None]]) -> None:
        for thing in things:
            self.something_happens(*thing)

    def something_happens(self, ref: str, once: bool, lasts: int | None) -> None:
        self.number += 1
        end = {"coupon_expires_at": self.now + timedelta(seconds=lasts)} if lasts else {}
        trigger = "coupon_create" if once else "walletreward_create"
        if not once:
            EventDefinition.objects.filter(pk=self.usual.pk).update(stale_after=lasts)
        activity = make.activity(
            self.integration.merchant, ref, trigger=trigger, properties={"n": self.number, **end}, occurred_at=self.now
        )
        rows = record(activity)
        assert len(record(activity)) == len(rows)  # again: nothing new
        for row in rows:
            assert self.journeys[str(row.pk)].calls == []

    def a_worker_claims(self, data: Any) -> None:
        self.claim(data.draw(st.integers(1, 4)))

    def claim(self, limit: int) -> None:
        owner = claims.new_owner()
        claimed = suspects.claim_part(self.integration.pk, owner, limit) or claims.claim(self.integration.pk, limit, owner)
        status = Integration.objects.get(pk=self.integration.pk)
        assert not claimed or (status.status == Status.ACTIVE and not (status.hold_until and status.hold_until > self.now))
        for row in EventDelivery.objects.filter(pk__in=[item.id for item in claimed]):
            assert row.expires_at is None or row.expires_at > self.now
        if claimed:
            self.claims.append(Claim(owner, claimed))

    def a_worker_claims_and_sends(self, data: Any) -> None:
        outcome, held = data.draw(st.sampled_from(["", "killed", *Outcome])), data.draw(st.booleans())
        before, under_way = len(self.claims), set(self.open)
        self.claim(data.draw(st.integers(2, 4)))
        if len(self.claims) > before:
            self.commit(self.claims.pop())
        for key in sorted(set(self.open) - under_way):
            if outcome == "killed":
                self.lose(key)
            elif outcome:
                self.answer(key, Outcome(outcome), held, None)

    def a_worker_sends_what_it_claimed_before(self, data: Any) -> None:
        if not self.claims:
            return
        self.commit(self.claims.pop(data.draw(st.integers(0, len(self.claims) - 1))))

    def commit(self, claim: Claim) -> None:
        """Commit the calls of a claim, in parts as a drain does; what is past its lease must not leave."""
        parts = [[row.id for row in part] for part in parts_of(claim.rows, 2)]
        lease = self.now + timedelta(seconds=django_settings.DELIVERY_LEASE_SECONDS)
        rows = [Call(integration=self.integration, started_at=self.now, lease_until=lease, records=len(ids)) for ids in parts]
        before = self.state_of(claim.ids)
        try:
            leaving = stamp(rows, parts, claim.owner, ALLOWANCE)
        except LeaseLost:
            assert self.state_of(claim.ids) == before
            leaving = []
        claims.release(claim.owner)
        for row in leaving:
            self.open[row.pk] = row
            for pk in EventDelivery.objects.filter(call=row).values_list("pk", flat=True):
                self.it_leaves(str(pk), row.pk)

    def it_leaves(self, key: str, call: int) -> None:
        """A request with this delivery leaves: every earlier one of which it may have arrived is known as uncertain."""
        journey = self.journeys[key]
        for earlier in journey.calls:
            outcome = DeliveryAttempt.objects.get(delivery=key, call=earlier).outcome
            assert outcome != Outcome.ACCEPTED
            assert outcome == Outcome.UNCERTAIN or (key, earlier) not in self.arrivals
        journey.calls.append(call)

    def a_worker_stops_before_it_sends(self, data: Any) -> None:
        if not self.claims:
            return
        claim = self.claims.pop(data.draw(st.integers(0, len(self.claims) - 1)))
        if data.draw(st.booleans()):  # otherwise it is killed
            claims.release(claim.owner)

    def a_worker_is_killed_while_its_call_is_under_way(self, data: Any) -> None:
        if self.open:
            self.lose(data.draw(st.sampled_from(sorted(self.open))))

    def lose(self, key: int) -> None:
        """Nobody will answer this call, and the provider may have it: the sweep must say so."""
        del self.open[key]
        self.arrivals |= {(delivery, key) for delivery, journey in self.journeys.items() if key in journey.calls}

    def an_answer_comes(self, data: Any) -> None:
        if not self.open:
            return
        outcome, differs = data.draw(st.sampled_from(list(Outcome))), data.draw(st.sampled_from([None, *Outcome]))
        self.answer(data.draw(st.sampled_from(sorted(self.open))), outcome, data.draw(st.booleans()), differs)

    def answer(self, key: int, outcome: Outcome, held: bool, differs: Outcome | None) -> None:
        """An answer comes to one call, perhaps another one for the first delivery in it, perhaps after the lease."""
        call = self.open.pop(key)
        rows = EventDelivery.objects.filter(call=call, status=State.SENDING).order_by("pk")
        under_way = [str(pk) for pk in rows.values_list("pk", flat=True)]
        named = {under_way[0]: Verdict(differs, "x", "different")} if differs and under_way else {}
        for delivery, journey in self.journeys.items():
            meant = named[delivery].outcome if delivery in named else outcome
            if call.pk in journey.calls and meant in ARRIVED:
                self.arrivals.add((delivery, call.pk))
        is_held = held and outcome is Outcome.TRANSIENT
        known = settle(call, Reading(Verdict(outcome, "c", "said"), named), self.now, held=is_held)
        if is_held and known:
            self.integration.refresh_from_db()
            leave_alone(self.integration, 60.0, self.now, call.started_at)
        if outcome is Outcome.CONFIGURATION and known:
            self.set_status(Status.ATTENTION)

    def time_passes(self, data: Any) -> None:
        self.now += timedelta(seconds=data.draw(st.sampled_from([1, 10, 40, 61, 400, 90_000])))

    def the_next_try_is_due(self, _data: Any) -> None:
        self.integration.refresh_from_db()
        waiting = EventDelivery.objects.filter(status=State.RETRYING).order_by("next_attempt_at")
        due = waiting.values_list("next_attempt_at", flat=True).first()
        self.now = max(self.now, due or self.now, self.integration.hold_until or self.now)
        self.the_sweep_looks()

    def the_sweep_looks(self, _data: Any = None) -> None:
        sweep.end_abandoned_calls(self.now)
        sweep.return_abandoned_claims(self.now)
        staleness.expire(self.now)
        sweep.align_queues()
        notices.look(self.now)

    # --- What people do -------------------------------------------------------------------------------------------------
    def the_integration_stops(self, data: Any) -> None:
        stop = data.draw(st.sampled_from(["disconnect", Status.PAUSED, Status.ATTENTION]))
        if stop == "disconnect":
            self.integration.refresh_from_db()
            disconnect(self.integration)
        else:
            self.set_status(stop)

    def it_is_mended(self, _data: Any) -> None:
        self.set_status(Status.ACTIVE)

    def set_status(self, status: str) -> None:
        self.integration.refresh_from_db()
        set_status(self.integration, status, enabled=True)

    def a_button_is_pressed(self, data: Any) -> None:
        verb = data.draw(st.sampled_from(["retry", "cancel"]))
        key = data.draw(st.sampled_from(sorted(self.journeys)))
        row = EventDelivery.objects.get(pk=key)
        before = row.status
        if verb == "cancel":
            assert verbs.cancel(row) == (before in verbs.CANCELLABLE)
        elif verbs.retry(row):
            assert before in verbs.RETRYABLE
            self.journeys[key].retried += 1

    def the_event_is_changed(self, data: Any) -> None:
        self.usual.uncertain_resends = data.draw(st.integers(0, 2))
        self.usual.save(update_fields=["uncertain_resends"])

    # --- What always holds ----------------------------------------------------------------------------------------------
    @invariant()
    def nothing_is_lost_and_nothing_leaves_sent(self) -> None:
        if getattr(self, "integration", None) is None:
            return
        rows = {str(row.pk): row for row in EventDelivery.objects.all()}
        assert set(rows) == set(self.journeys)
        for key, journey in self.journeys.items():
            is_sent = rows[key].status == State.SENT
            assert is_sent or not journey.was_sent
            journey.was_sent = is_sent
            assert is_sent == (rows[key].sent_at is not None)

    @invariant()
    def every_row_is_somewhere(self) -> None:
        for row in EventDelivery.objects.all():
            is_leased = bool(row.lease_owner)
            assert is_leased == (row.status == State.SENDING) == (row.lease_until is not None)
            assert (row.next_attempt_at is None) == (row.status in FINAL_STATES)
            if row.status == State.RETRYING and row.expires_at and row.attempt_count and row.failure_count:
                assert row.next_attempt_at < row.expires_at or row.expires_at <= self.now or row.next_attempt_at <= self.now

    @invariant()
    def every_try_is_written_down_once_and_within_its_budget(self) -> None:
        for row in EventDelivery.objects.all().select_related("call"):
            attempts = list(row.attempts.order_by("number"))
            is_open = row.status == State.SENDING and row.call is not None and row.call.ended_at is None
            assert [attempt.number for attempt in attempts] == list(range(1, row.attempt_count + 1 - is_open))
            journey = self.journeys[str(row.pk)]
            assert [attempt.call_id for attempt in attempts] + [row.call_id] * is_open == journey.calls
            outcomes = [attempt.outcome for attempt in attempts]
            assert outcomes.count(Outcome.ACCEPTED) == (row.status == State.SENT)
            assert row.failure_count <= len(RETRY_STEPS) + 1
            most = 0 if row.definition_id == self.once.pk else 2
            assert row.uncertain_count <= most + 1
            assert outcomes.count(Outcome.UNCERTAIN) <= (most + 1) * (journey.retried + 1)

    @invariant()
    def a_customer_is_in_one_call_at_a_time(self) -> None:
        busy = EventDelivery.objects.filter(status=State.SENDING, call__isnull=False).values_list("customer_ref", "call")
        assert len({ref for ref, _call in busy}) == len(set(busy))

    def state_of(self, ids: list[str]) -> dict[str, tuple[str, int]]:
        return {str(pk): (status, tries) for pk, status, tries in self.rows(ids).values_list("pk", "status", "attempt_count")}

    def rows(self, ids: list[str]) -> Any:
        return EventDelivery.objects.filter(pk__in=ids)

    def everything_comes_to_an_end(self) -> None:
        """All workers die, the integration is mended, and the provider takes everything: each row finds its end."""
        self.claims.clear()
        self.open.clear()
        for _round in range(60):
            self.now += timedelta(days=2)
            self.set_status(Status.ACTIVE)
            self.the_sweep_looks()
            self.claim(10)
            while self.claims:
                owner, ids = self.claims[-1].owner, self.claims.pop().ids
                lease = self.now + timedelta(seconds=60)
                row = Call(integration=self.integration, started_at=self.now, lease_until=lease)
                for left in stamp([row], [ids], owner, ALLOWANCE):
                    for key in ids:
                        self.it_leaves(key, left.pk)
                    settle(left, Reading(Verdict(Outcome.ACCEPTED)), self.now)
            if not EventDelivery.objects.exclude(status__in=FINAL_STATES).exists():
                break
        assert set(EventDelivery.objects.values_list("status", flat=True)) <= set(FINAL_STATES)
        assert not EventDelivery.objects.filter(status__in=(*DUE_STATES, State.HELD, State.SENDING)).exists()
        self.nothing_is_lost_and_nothing_leaves_sent()
        self.every_try_is_written_down_once_and_within_its_budget()


@pytest.mark.django_db(transaction=True)
def test_no_order_of_things_loses_or_doubles_a_delivery_in_secret(settings, told):
    settings.DELIVERY_RETRY_STEPS, settings.DELIVERY_LEASE_SECONDS = RETRY_STEPS, 60.0
    run_state_machine_as_test(Deliveries, settings=FEW)


FEW = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
