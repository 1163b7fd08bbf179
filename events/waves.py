"""Sending large calls: a wave claims what fills a few of them, and packs one while those before it are under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from events import bell, claims, closing, contacts, suspects
from events.flights import Flight, Landing, read, send
from events.packing import event_of, pack
from events.results import settle
from events.scribes import Scribes
from events.sender import Sender
from events.turns import Turn
from integrations.models import Integration
from integrations.providers.base import Account, Event, Limits, Outcome, Packed, Profile, Reading, Verdict

CALLS_PER_WAVE = 4
CLAIMED_AT_LEAST = 2_000  # where calls are small: a claim, and the pause at its end, must be worth it
SMALL_SHARE = 0.25  # of a call; one that has less in it is a small one
GATHER_SECONDS = 0.1  # between small waves, from the third in a row on: a single event never waits for it
MUFFLED_FOR = 0.25  # of a sweep: then the bell is muffled anew, since one that is older than a sweep counts as lost
NEVER = float("-inf")
SPLITS_PER_DRAIN = 60  # finds several bad records among a thousand; a provider that refuses everything costs no more


@dataclass(frozen=True, slots=True)
class Load:
    """Events of one part of a wave and their customers' profiles. `ahead` returns them packed, where that has begun."""

    events: Sequence[Event]
    profiles: Mapping[str, Profile]
    ahead: Callable[[], Packed] | None = None


@dataclass(frozen=True, slots=True)
class Crew:
    """The threads of a sender at work: those that send, and one that packs."""

    senders: Executor
    packer: Executor


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """An answer, and whether it was written down, where a scribe does that."""

    landing: Landing
    reading: Reading
    done: Future[bool] | None = None


class Waves(Sender):
    """Empties one integration's queue, wave by wave."""

    def __init__(self, integration: Integration, account: Account) -> None:
        """Work for this integration with these credentials."""
        super().__init__(integration, account)
        self.splits_left = SPLITS_PER_DRAIN
        self.refused_parts: list[list[str]] = []
        self.own_calls = 0  # that are under way while the next part is packed
        self.turn = Turn(integration.pk)
        self.muffled_at = NEVER
        self.scribes = Scribes()
        self.crew: Crew | None = None
        self.under_way: set[Future[Written]] = set()  # also of the wave before
        self.written: list[Written] = []
        self.is_full = False  # no further call may leave before one of those is back

    def run(self) -> int:
        """Send what is due until nothing is, or the turn is over. Returns the number of deliveries handled."""
        with self._at_work():
            return self._run()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Have threads as long as this lasts; in the end everything that is under way is written down. Within itself: nothing."""
        if self.crew is not None:
            yield
            return
        with self.scribes.at_work(), ThreadPoolExecutor(CALLS_PER_WAVE) as senders, ThreadPoolExecutor(1, "packer") as packer:
            self.crew = Crew(senders, packer)
            try:
                yield
            finally:
                self.crew = None
                self._land_rest()

    def _run(self) -> int:
        """Send wave after wave. The next one is claimed while the last calls of the one before are under way."""
        self.turn, handled, trickle = Turn(self.integration.pk), 0, 0  # small waves in a row
        claim_limit, part_size = wave_size(self.contract.limits)
        while not self.stopped:
            # Few as long as nobody knows that they are taken; who just failed is asked with one event.
            limit = claim_limit if handled else filling(self.contract.limits)
            is_watched = self.integration.breaker_failures > 0
            if is_watched:
                self._land_rest()
            sent = self.wave(most=int(is_watched), limit=limit)
            handled += sent
            if not sent and self.under_way:  # whom these are about could not be claimed
                self._land_rest()
                continue
            if self.turn.is_over() or not (sent or self._unmuffle()):
                break
            if sent >= claim_limit:
                self._unmuffle()
                self.turn.call_for_help()
            trickle = trickle + 1 if sent < part_size * SMALL_SHARE else 0
            if trickle > 1 and sent:  # a few at a time keep coming: each call costs the same, however little is in it
                self._muffle()
                if self.place is not None and self.place.is_second():  # asked after muffling: it has yet to look again
                    self.gave_way = True  # one worker is enough for them
                    break
                time.sleep(GATHER_SECONDS)
        return handled

    def _muffle(self) -> None:
        """While events keep coming a few at a time nobody needs to ring: they are claimed here, after this wave."""
        if time.monotonic() - self.muffled_at > settings.DELIVERY_SWEEP_SECONDS * MUFFLED_FOR:
            bell.muffle(self.integration.pk)
            self.muffled_at = time.monotonic()

    def _unmuffle(self) -> bool:
        """From here on who commits must ring again. Returns whether to claim once more: somebody may just have kept silent."""
        was_muffled, self.muffled_at = self.muffled_at > NEVER, NEVER
        if was_muffled:
            bell.clear(self.integration.pk)
        return was_muffled

    def probe(self) -> int:
        """Send the one delivery that is due first through a half-open breaker. Returns the number of deliveries handled."""
        with self.probing():
            return self.wave(most=1)

    def wave(self, most: int = 0, limit: int = 0) -> int:
        """Claim once, then pack, stamp and send part by part, so that packing one part hides the sending of the last.

        What may be what killed its worker goes first, and apart. Returns how many deliveries were claimed: `most` at most, if
        given, otherwise `limit` at most of those that are no suspects.
        """
        with self._at_work():
            claimed = self._wave(most, limit)
            if self.refused_parts:
                self._land_rest()
        self._send_refused_parts()
        return claimed

    def _wave(self, most: int, limit: int) -> int:
        """Claim, and send part by part."""
        now, owner, pk = timezone.now(), claims.new_owner(), self.integration.pk
        claim_limit, part_size = wave_size(self.contract.limits)
        claimed = suspects.claim_part(pk, owner, most) or claims.claim(pk, most or limit or claim_limit, owner)
        if claimed:
            self.is_full = False
            try:
                self._send_parts(parts_of(self.still_worth(claimed, owner), part_size), owner, now)
            finally:
                claims.release(owner)  # what was in no call: it used no try
        return len(claimed)

    def send_these(self, ids: Sequence[str]) -> None:
        """Send these very deliveries, as far as they still wait."""
        owner = claims.new_owner()
        claimed = claims.claim_these(self.integration.pk, ids, owner)
        try:
            if claimed:
                now = timezone.now()
                self._send_all(self._board(self._load(claimed, now), owner, now))
        finally:
            claims.release(owner)  # where no place was free: they wait for their next turn

    def _send_parts(self, parts: Sequence[Sequence[claims.Claimed]], owner: str, now: datetime) -> None:
        """Pack and stamp one part while those before it are under way; the last ones still are when this returns."""
        assert self.crew is not None, "a wave has its threads"
        if len(parts) == 1:
            self._land_rest()
            self.own_calls = 0
            self._send_all(self._board(self._load(parts[0], now), owner, now))
            return
        latest = time.monotonic() + settings.DELIVERY_LEASE_SECONDS / 2  # what is left then goes back before its lease is over
        most = min(CALLS_PER_WAVE + 1, self.contract.limits.calls_in_flight)  # one is committed ahead
        coming = self._load(parts[0], now, self.crew.packer)
        for following in [*parts[1:], []]:
            if len(self.under_way) >= most:
                self._land_all(wait(self.under_way, return_when=FIRST_COMPLETED).done)
            if self.stopped or time.monotonic() > latest or self.turn.is_over():
                return
            self.own_calls = len(self.under_way)
            load, coming = coming, self._load(following, now, self.crew.packer)  # packed while this one is committed
            flights = self._board(load, owner, now)
            self.under_way |= {self.crew.senders.submit(self._fly, flight) for flight in flights}
            self._land_all([sent for sent in self.under_way if sent.done()])
            if self.stopped or self.is_full:
                return

    def _land_rest(self) -> None:
        """Wait for everything that is under way, and write it down."""
        self._land_all(as_completed(set(self.under_way)), is_last=True)

    def _send_all(self, flights: Sequence[Flight]) -> None:
        """Send calls, side by side if there are several, and write down each answer as it comes."""
        if len(flights) == 1:
            self.land(send(flights[0]))
        elif flights:
            with ThreadPoolExecutor(len(flights)) as pool:
                self.under_way |= {pool.submit(self._fly, flight) for flight in flights}
                self._land_rest()

    def _fly(self, flight: Flight) -> Written:
        """Send one call, and hand a plain yes to a scribe at once. In a thread of its own."""
        landing = send(flight)
        reading = read(self.contract, flight.call, landing.answer)
        return Written(landing, reading, self.scribes.write(landing, reading))

    def _land_all(self, sent: Iterable[Future[Written]], is_last: bool = False) -> None:
        """Write down every answer that is there, also after one of them could not be written down.

        `is_last`: also wait for what the scribes are still writing.
        """
        broken: DatabaseError | None = None
        for future in sent:
            self.under_way.discard(future)
            self.written.append(future.result())
        for written in [written for written in self.written if is_last or written.done is None or written.done.done()]:
            self.written.remove(written)
            try:
                self.land(written.landing, written.reading, written.done.result() if written.done else None)
            except DatabaseError as error:  # that call stays open and becomes uncertain; the others must not
                broken = error
        if broken is not None:
            raise broken

    def _load(self, claimed: Sequence[claims.Claimed], now: datetime, packer: Executor | None = None) -> Load:
        """Put together what is packed; with `packer`, begin to pack it there."""
        if not claimed:
            return Load((), {})
        ids = contacts.give_ids(self.integration, (row.customer_ref for row in claimed))
        profiles = contacts.profiles_for(self.integration, claimed)
        events = [event_of(row, ids.get(row.customer_ref, "")) for row in claimed]
        ahead = packer.submit(self.contract.pack_events, self.account, events, profiles, now) if packer else None
        return Load(events, profiles, ahead.result if ahead else None)

    def _board(self, load: Load, owner: str, now: datetime) -> list[Flight]:
        """Pack claimed deliveries and commit their calls; note where no further one may leave now."""
        packed = pack(self.contract, self.account, load.events, load.profiles, owner, now, load.ahead)
        leaving = self.in_time(self.stamp(packed.calls, load.profiles, owner))
        if packed.calls and not leaving:  # as many calls are under way as the contract allows
            self.is_full = True
            self.stopped = self.stopped or not self.own_calls  # they are others': the sweep rings again
        return leaving

    def takes_over(self, landing: Landing, reading: Reading) -> bool:
        """Note the halves of a batch that was refused as a whole: one bad record must not take the others along."""
        ids = landing.flight.call.delivery_ids
        if not reading.split or len(ids) < 2 or self.splits_left <= 0:
            return False
        self.splits_left -= 1
        verdict = Verdict(Outcome.TRANSIENT, reading.verdict.code, reading.verdict.message)
        if settle(landing.flight.row, Reading(verdict), timezone.now(), held=True):
            half = (len(ids) + 1) // 2
            self.refused_parts += [ids[:half], ids[half:]]
        return True

    def _send_refused_parts(self) -> None:
        """Send the halves of refused batches, and theirs, after all other answers have been written down."""
        while self.refused_parts and not self.stopped and not closing.is_closing():
            self.send_these(self.refused_parts.pop())
        self.refused_parts.clear()


def wave_size(limits: Limits) -> tuple[int, int]:
    """Return how many deliveries a wave claims, and how many of them are packed at a time."""
    return max(filling(limits), CLAIMED_AT_LEAST), limits.records_per_call


def filling(limits: Limits) -> int:
    """Return how many deliveries fill the calls of a wave that are under way at once."""
    return min(CALLS_PER_WAVE, limits.calls_in_flight) * limits.records_per_call


def parts_of(claimed: Sequence[claims.Claimed], size: int) -> list[list[claims.Claimed]]:
    """Return the claimed rows in parts of about `size`, a customer's rows in one part and in order."""
    by_customer: dict[str, list[claims.Claimed]] = {}
    for row in claimed:
        by_customer.setdefault(row.customer_ref, []).append(row)
    parts: list[list[claims.Claimed]] = [[]]
    for rows in by_customer.values():
        if parts[-1] and len(parts[-1]) + len(rows) > size:
            parts.append([])
        parts[-1] += rows
    return parts
