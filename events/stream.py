"""Sending small calls: as many side by side as the contract allows, each customer's one after the other.

Answers are written down, and the next calls committed, in one short transaction for all that are there: where a call
carries one event, a transaction of its own would cost more than the call. A provider that takes events only of contacts
it knows gets the contact first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from events import claims, contacts
from events.acceptance import settle_accepted
from events.boarding import Boarding, board
from events.flights import Flight, Landing, note_end, patience, read, send
from events.lanes import Lanes, lanes_of
from events.pause import resumed
from events.results import settle_unsent
from events.sender import THREAD_SHARE, Sender
from events.stamping import LeaseLost
from events.turns import Turn
from integrations.models import Integration
from integrations.providers.base import Account, Outcome, Reading, Verdict

QUICK_MS = 500  # answers within that are worth having the next calls committed ahead
GATHER_SECONDS = 0.02  # while calls are committed ahead, answers that come within that are written down together
IDLE_TURNS_MAX = 20  # in a row: then the sweep may ring again
CLAIMED_PER_CALL = 8  # that may be under way: a claim costs more than a turn
PACED_SECONDS = 3.0  # where a rate is given, a claim takes what leaves within that
RENEWED_AFTER = 0.25  # of a lease
IDLE_SECONDS = 0.1  # before looking again for room that others take

Read = tuple[Landing, Reading]


class Stream(Sender):
    """Empties one integration's queue, call by call."""

    def __init__(self, integration: Integration, account: Account) -> None:
        """Work for this integration with these credentials."""
        super().__init__(integration, account)
        self.is_quick = False
        self.lanes = Lanes()
        self.under_way: set[Future[Landing]] = set()
        self.owner, self.leased_at = claims.new_owner(), time.monotonic()
        self.handled = 0

    def run(self) -> int:
        """Send what is due until nothing is, or the turn is over. Returns the number of deliveries handled."""
        turn = Turn(self.integration.pk)
        return self._run(lambda: not turn.is_over() and self._claim_more())

    def probe(self) -> int:
        """Send the one delivery that is due first through a half-open breaker. Returns the number of deliveries handled."""
        with self.probing():
            self._take(claims.claim(self.integration.pk, 1, self.owner))
            return self._run(lambda: bool(self.lanes.waiting()))

    def send_these(self, ids: Sequence[str]) -> None:
        """Send these very deliveries, as far as they still wait."""
        turn = Turn(self.integration.pk)
        self._take(claims.claim_these(self.integration.pk, ids, self.owner))
        self._run(lambda: bool(self.lanes.waiting()) and not turn.is_over())

    def _run(self, goes_on: Callable[[], bool]) -> int:
        """Take turns until there is nothing to send and nothing under way."""
        idle_turns = 0
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                while idle_turns < IDLE_TURNS_MAX:
                    self._keep_claims()
                    landed = self._landed()
                    going = not self.stopped and (len(self.under_way) >= self._most_open() or goes_on())
                    left = self._turn(landed, going)
                    self.under_way |= {pool.submit(send, flight) for flight in left}
                    if self.under_way:
                        idle_turns = 0
                        self._wait()
                    elif not landed and not going:
                        return self.handled
                    elif not landed:  # others take the room, or the moments
                        idle_turns += 1
                        time.sleep(IDLE_SECONDS)
                self.stopped = True
                return self.handled
            finally:
                self._finish()

    def _wait(self) -> None:
        """Wait for an answer, and a little longer while the threads have enough to do."""
        wait(self.under_way, settings.DELIVERY_LEASE_SECONDS * RENEWED_AFTER, FIRST_COMPLETED)
        if self.is_quick and len(self.under_way) > self.threads:
            time.sleep(GATHER_SECONDS)

    def _finish(self) -> None:
        """Write down what is still under way, and give back what was not sent: it used no try."""
        wait(self.under_way)
        try:
            self._turn(self._landed(), False)
        finally:
            claims.release(self.owner)

    def _landed(self) -> list[Landing]:
        """Take the calls that are back out of those under way."""
        landed = {sent for sent in self.under_way if sent.done()}
        self.under_way -= landed
        return [sent.result() for sent in landed]

    def _most_open(self) -> int:
        """Return how many calls to have committed: while answers are quick, the next ones ahead of time."""
        return self.threads * (THREAD_SHARE if self.is_quick and not self.allowance.per_second else 1)

    # --- Claiming ------------------------------------------------------------------------------------------------------
    def _claim_more(self) -> bool:
        """Claim where little waits. Returns whether there is anything to send."""
        if self.lanes.waiting() < self._most_open():
            self._take(claims.claim(self.integration.pk, self._claim_limit(), self.owner))
        return bool(self.lanes.waiting())

    def _keep_claims(self) -> None:
        """Renew the lease of what waits, long before it is over. Given back, it would be sent beside its own contact's call."""
        if time.monotonic() - self.leased_at > settings.DELIVERY_LEASE_SECONDS * RENEWED_AFTER:
            claims.renew(self.owner)
            self.leased_at = time.monotonic()

    def _claim_limit(self) -> int:
        """Return how many deliveries to claim."""
        limits, per_second = self.contract.limits, self.allowance.per_second
        wanted = CLAIMED_PER_CALL * limits.calls_in_flight * limits.records_per_call
        return min(wanted, max(1, round(per_second * PACED_SECONDS))) if per_second else wanted

    def _take(self, claimed: Sequence[claims.Claimed]) -> None:
        """Open lanes for claimed deliveries."""
        if claimed:
            ids = contacts.give_ids(self.integration, (row.customer_ref for row in claimed))
            self.lanes.add(lanes_of(claimed, ids, contacts.profiles_for(self.integration, claimed)))

    # --- A turn --------------------------------------------------------------------------------------------------------
    def _turn(self, landed: Sequence[Landing], going: bool) -> list[Flight]:
        """Write down what has landed and commit what leaves next. Returns the calls that may leave."""
        answers = [(landing, read(self.contract, landing.flight.call, landing.answer)) for landing in landed]
        plain = [pair for pair in answers if _is_plain(*pair)]
        rest = [pair for pair in answers if not _is_plain(*pair)]
        if landed:
            self.is_quick = all(landing.duration_ms < QUICK_MS for landing in landed)
        if any(_stops(*pair) for pair in rest):
            going = False  # nothing leaves before that is written down
        room = self._most_open() - len(self.under_way) if going else 0
        boarding = board(self, self.lanes, room, self.owner) if room > 0 else Boarding()
        try:
            return self._commit(plain, boarding) if plain or boarding.calls else []
        finally:
            self._land_rest(rest)

    def _commit(self, plain: Sequence[Read], boarding: Boarding) -> list[Flight]:
        """Write down acceptances and stamp the next calls, together. Where the stamp fails, acceptances stand."""
        accepted = [(note_end(landing), reading.verdict) for landing, reading in plain]
        now = timezone.now()
        try:
            with transaction.atomic():
                ended = settle_accepted(accepted, now)
                left = self.stamp(boarding.calls, boarding.profiles, self.owner)
        except (LeaseLost, DatabaseError):
            self._accept(plain, settle_accepted(accepted, now))
            raise
        left = self.in_time(left)
        self._accept(plain, ended)
        left = [replace(flight, refs=boarding.refs[id(flight.call)]) for flight in left]
        for flight in left:
            self.handled += self.lanes.depart(flight.refs, flight.call.delivery_ids)
        return left

    def _accept(self, plain: Sequence[Read], ended: set[int]) -> None:
        """Note what follows from calls that were taken as a whole."""
        in_time = [(landing.flight, reading) for landing, reading in plain if landing.flight.row.pk in ended]
        contacts.note(self.integration, in_time)
        for landing, _reading in plain:
            self.lanes.arrive(landing.flight.refs, landing.flight.row.pk in ended)
        if plain:
            self.heed(False, max(landing.flight.row.started_at for landing, _reading in plain))
        if in_time and not self.stopped:  # it must not end a hold of its own
            resumed(self.integration)

    # --- Answers that are no plain yes -----------------------------------------------------------------------------------
    def _land_rest(self, rest: Sequence[Read]) -> None:
        """Write down every one of these answers, also after one of them could not be written down."""
        broken: DatabaseError | None = None
        for landing, reading in rest:
            try:
                self._land_one(landing, reading)
            except DatabaseError as error:  # that call stays open and becomes uncertain; the others must not
                broken = error
        if broken is not None:
            raise broken

    def _land_one(self, landing: Landing, answer: Reading) -> None:
        """Write down one answer; what else waits for this customer goes back and is claimed anew, in order."""
        flight = landing.flight
        reading = self.land(landing, answer)
        waiting = self.lanes.close(flight.refs)
        if reading is not None and not flight.call.delivery_ids and not self.stopped:
            waiting = self._contact_failed(landing, reading, waiting)
        claims.release_these([key for keys in waiting.values() for key in keys], self.owner)

    def _contact_failed(self, landing: Landing, reading: Reading, waiting: dict[str, list[str]]) -> dict[str, list[str]]:
        """Give the deliveries that waited for these contacts their outcome. Returns those that go back untouched.

        A contact refused for good fails them all; otherwise the first gets a try and a time, and holds back the others.
        """
        row, verdict, left = landing.flight.row, reading.verdict, {}
        for ref, ids in waiting.items():
            if ref in reading.contacts:
                left[ref] = ids
            elif ref in reading.refused or verdict.outcome is Outcome.PERMANENT:
                words = reading.refused_reasons.get(ref, "") or verdict.message
                settle_unsent(row, ids, self.owner, Verdict(Outcome.PERMANENT, verdict.code, words), timezone.now())
            else:
                again = Verdict(Outcome.TRANSIENT, verdict.code, verdict.message, verdict.max_tries)
                settle_unsent(row, ids[:1], self.owner, again, timezone.now())
                left[ref] = ids[1:]
        return left


def _is_plain(landing: Landing, reading: Reading) -> bool:
    """Tell whether a call was taken as a whole, with everything in it."""
    if reading.verdict.outcome is not Outcome.ACCEPTED or reading.deliveries or reading.refused:
        return False
    return bool(landing.flight.call.delivery_ids) or set(landing.flight.refs) <= reading.contacts


def _stops(landing: Landing, reading: Reading) -> bool:
    """Tell whether nothing more may leave after this answer."""
    asks = patience(landing.answer, reading, timezone.now()) is not None
    return asks or reading.verdict.outcome is Outcome.CONFIGURATION
