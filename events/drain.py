"""A drain: claim what is due, pack it, commit the calls, let them leave, write down what came back. In batches.

No transaction is open while a request is under way. A drain yields after a while, so that other integrations get their
turn, and rings again if there is more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from events import bell, claims, contacts
from events.excerpts import request_text, response_text
from events.models import Call, EventDelivery
from events.pause import credentials_refused, leave_alone, needs_attention, resumed
from events.results import settle
from events.retry import retry_after
from events.states import DUE_STATES
from events.waves import CALLS_PER_WAVE, event_of, parts_of, wave_size
from integrations import http
from integrations.fields import SecretUnreadable
from integrations.models import Integration, Status
from integrations.providers.base import (
    Account,
    Answer,
    Event,
    Fault,
    Outcome,
    Packed,
    Profile,
    Reading,
    Response,
    Verdict,
)
from integrations.providers.base import Call as ProviderCall
from integrations.verification import unreadable

logger = logging.getLogger(__name__)
SPLITS_PER_DRAIN = 60  # finds several bad records among a thousand; a provider that refuses everything costs no more
TURN_SECONDS = 2.0  # after that another integration with due rows gets the worker
LONGEST_SECONDS = 20.0  # well within the task's own time


@dataclass(frozen=True, slots=True)
class Flight:
    """One call about to leave: its row, its request, and the profiles that travel in it."""

    row: Call
    call: ProviderCall
    profiles: Mapping[str, Profile]
    secrets: tuple[str, ...]  # to be masked in whatever comes back


class Drain:
    """Empties one integration's queue, wave by wave."""

    def __init__(self, integration: Integration, account: Account) -> None:
        """Work for this integration with these credentials."""
        self.integration = integration
        self.account = account
        self.contract = integration.contract
        self.secrets = tuple(account.secrets.values())
        self.stopped = False
        self.splits_left = SPLITS_PER_DRAIN
        self.refused_parts: list[list[str]] = []
        self.own_calls = 0  # that are under way while the next part is packed
        self.is_full = False  # no further call may leave before one of those is back

    def run(self) -> int:
        """Send what is due until nothing is, or the turn is over. Returns the number of deliveries handled."""
        began, handled = time.monotonic(), 0
        while not self.stopped:
            sent = self.wave()
            handled += sent
            spent = time.monotonic() - began
            if not sent or spent > LONGEST_SECONDS or (spent > TURN_SECONDS and others_wait(self.integration.pk)):
                break
        return handled

    def wave(self) -> int:
        """Claim once, then pack, stamp and send part by part, so that packing one part hides the sending of the last.

        Returns how many deliveries were claimed.
        """
        now, owner = timezone.now(), claims.new_owner()
        claim_limit, part_size = wave_size(self.contract.limits)
        claimed = claims.claim(self.integration.pk, claim_limit, owner)
        if not claimed:
            return 0
        self.own_calls, self.is_full = 0, False
        try:
            self._send_parts(parts_of(claimed, part_size), owner, now)
        finally:
            claims.release(owner)  # what was in no call: it used no try
        self._send_refused_parts()
        return len(claimed)

    def _send_parts(self, parts: Sequence[Sequence[claims.Claimed]], owner: str, now: datetime) -> None:
        """Pack and stamp one part while those before it are under way."""
        if len(parts) == 1:
            self._send_all(self._board(parts[0], owner, now))
            return
        with ThreadPoolExecutor(CALLS_PER_WAVE) as pool:
            under_way: dict[Future[Answer], Flight] = {}
            try:
                for part in parts:
                    self.own_calls = len(under_way)
                    under_way |= {pool.submit(_send, flight): flight for flight in self._board(part, owner, now)}
                    self._land_all(under_way, [sent for sent in under_way if sent.done()])
                    if self.stopped or self.is_full:
                        break
            finally:
                self._land_all(under_way, as_completed(list(under_way)))

    def _send_all(self, flights: Sequence[Flight]) -> None:
        """Send calls, side by side if there are several, and write down each answer as it comes."""
        if len(flights) == 1:
            self._land(flights[0], _send(flights[0]))
        elif flights:
            with ThreadPoolExecutor(len(flights)) as pool:
                under_way = {pool.submit(_send, flight): flight for flight in flights}
                self._land_all(under_way, as_completed(list(under_way)))

    def _land_all(self, under_way: dict[Future[Answer], Flight], landed: Iterable[Future[Answer]]) -> None:
        """Write down every answer that is there, also after one of them could not be written down."""
        broken: DatabaseError | None = None
        for sent in landed:
            try:
                self._land(under_way.pop(sent), sent.result())
            except DatabaseError as error:  # that call stays open and becomes uncertain; the others must not
                broken = error
        if broken is not None:
            raise broken

    def _board(self, claimed: Sequence[claims.Claimed], owner: str, now: datetime) -> list[Flight]:
        """Pack claimed deliveries and commit their calls."""
        profiles = contacts.profiles_for(self.integration, claimed)
        packed = self._pack(claimed, profiles, owner, now)
        if packed.skipped:
            claims.skip(dict(packed.skipped), owner)
        return self._stamp(packed.calls, profiles, owner)

    def _pack(self, claimed: Sequence[claims.Claimed], profiles: Mapping[str, Profile], owner: str, now: datetime) -> Packed:
        """Pack; where our own code breaks on a delivery, fail that one as internal and pack the others."""
        events = [event_of(row) for row in claimed]
        try:
            return self.contract.pack_events(self.account, events, profiles, now)
        except Exception:  # the worker's edge: one delivery that cannot be packed must not stop the queue
            logger.exception("Deliveries of integration %s could not be packed.", self.integration.pk)
        sound = [event for event in events if self._packs(event, profiles, owner, now)]
        return self.contract.pack_events(self.account, sound, profiles, now) if sound else Packed(())

    def _packs(self, event: Event, profiles: Mapping[str, Profile], owner: str, now: datetime) -> bool:
        """Tell whether this delivery alone can be packed; if not, fail it."""
        try:
            self.contract.pack_events(self.account, [event], profiles, now)
        except Exception:
            claims.fail(event.delivery_id, owner)
            return False
        return True

    def _stamp(self, calls: Sequence[ProviderCall], profiles: Mapping[str, Profile], owner: str = "") -> list[Flight]:
        """Commit that these calls start, as far as the contract allows so many at once."""
        started_at = timezone.now()
        lease_until = started_at + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)
        rows = [
            Call(
                integration=self.integration,
                started_at=started_at,
                lease_until=lease_until,
                records=len(call.records),
                request=request_text(call.request),
            )
            for call in calls
        ]
        ids = [call.delivery_ids for call in calls]
        leaving = claims.stamp(rows, ids, owner, self.contract.limits.calls_in_flight)
        if calls and not leaving:  # as many calls are under way as the contract allows
            self.is_full = True
            self.stopped = self.stopped or not self.own_calls  # they are others': the sweep rings again
        return [Flight(row, call, profiles, self.secrets) for row, call in zip(leaving, calls, strict=False)]

    def _land(self, flight: Flight, answer: Answer) -> None:
        """Write down what one answer meant; act on what it says about the integration as a whole."""
        now = timezone.now()
        reading = self._read(flight.call, answer)
        row = flight.row
        row.duration_ms = round((now - row.started_at).total_seconds() * 1000)
        row.http_status = answer.status if isinstance(answer, Response) else None
        row.response = response_text(answer)
        seconds = self._patience(answer, reading, now)
        held = False
        if seconds is not None and reading.verdict.outcome is Outcome.TRANSIENT:
            if seconds >= 0 or not self.stopped:  # calls side by side that are all told to wait are one hold, not many
                leave_alone(self.integration, seconds, now, row.started_at)
            held = self.stopped = True
        if reading.split and len(flight.call.delivery_ids) > 1 and self.splits_left > 0:
            self._split(flight, reading, now)
            return
        if not settle(row, reading, now, held):
            logger.warning("Call %s of integration %s ended after its lease; it stays uncertain.", row.pk, self.integration.pk)
            return
        contacts.note(self.integration, flight.profiles, flight.call, reading)
        if reading.refused:
            self._push_again(reading.refused)
        if reading.verdict.outcome is Outcome.CONFIGURATION:
            stopped, self.stopped = self.stopped, True
            if not stopped:  # of calls side by side the first asks the credential check
                credentials_refused(self.integration, self.account, reading.verdict, now, row.started_at)
        elif reading.verdict.outcome is Outcome.ACCEPTED and not self.stopped:  # it must not end a hold of its own wave
            resumed(self.integration)

    def _read(self, call: ProviderCall, answer: Answer) -> Reading:
        """Return the answer's meaning. A fault after the body left is uncertain; a parser of ours that breaks is internal."""
        if isinstance(answer, Fault):
            outcome = Outcome.UNCERTAIN if answer.sent else Outcome.TRANSIENT
            if answer.kind == http.UNSENDABLE:
                outcome = Outcome.CONFIGURATION
            return Reading(Verdict(outcome, answer.kind, answer.message))
        try:
            return self.contract.read(call, answer)
        except Exception:  # the worker's edge: our bug must not stop the queue, nor lose the record of this call
            logger.exception("The answer to a call of integration %s could not be read.", self.integration.pk)
            return Reading(Verdict(Outcome.UNCERTAIN, "internal", "Our own reading of the answer failed; it was logged."))

    @staticmethod
    def _patience(answer: Answer, reading: Reading, now: datetime) -> float | None:
        """Return how long the provider asks to be left alone, None if it does not ask. Negative: it names no time."""
        if isinstance(answer, Response) and (named := retry_after(answer.status, answer.headers, now)) is not None:
            return named
        return None if reading.hold_seconds is None else -reading.hold_seconds

    def _split(self, flight: Flight, reading: Reading, now: datetime) -> None:
        """A batch was refused as a whole: note its halves, so that one bad record cannot take the others along."""
        self.splits_left -= 1
        verdict = Verdict(Outcome.TRANSIENT, reading.verdict.code, reading.verdict.message)
        if settle(flight.row, Reading(verdict), now, held=True):
            ids = flight.call.delivery_ids
            half = (len(ids) + 1) // 2
            self.refused_parts += [ids[:half], ids[half:]]

    def _send_refused_parts(self) -> None:
        """Send the halves of refused batches, and theirs, after all other answers have been written down."""
        while self.refused_parts and not self.stopped:
            owner = claims.new_owner()
            claimed = claims.claim_these(self.refused_parts.pop(), owner, timezone.now())
            try:
                if claimed:
                    self._send_all(self._board(claimed, owner, timezone.now()))
            finally:
                claims.release(owner)  # where no place was free: they wait for their next turn
        self.refused_parts.clear()

    def _push_again(self, refused: Mapping[str, str]) -> None:
        """Send refused profiles once more, at once, without the attribute that the provider did not take."""
        profiles = contacts.dirty(self.integration, refused)
        packed = self.contract.pack_contacts(self.account, profiles.values(), timezone.now())
        self._send_all(self._stamp(packed.calls, profiles))


def _send(flight: Flight) -> Answer:
    """Send one call. Runs in a thread: no database here."""
    return http.send(flight.call.request, settings.DELIVERY_HTTP_TIMEOUT_SECONDS, flight.secrets)


def others_wait(integration_id: int) -> bool:
    """Tell whether another integration has rung and waits for a worker."""
    return Integration.objects.exclude(pk=integration_id).filter(bell_rung_at__isnull=False).exists()


def more_is_due(integration_id: int) -> bool:
    """Tell whether deliveries of this integration are due now."""
    rows = EventDelivery.objects.filter(integration_id=integration_id, status__in=DUE_STATES)
    return rows.filter(next_attempt_at__lte=timezone.now()).exists()


def drain(integration_id: int) -> int:
    """Empty one integration's queue. Safe to run twice, at the same time, or for nothing. Returns deliveries handled."""
    bell.clear(integration_id)
    integration = Integration.objects.select_related("merchant").filter(pk=integration_id).first()
    if integration is None or not integration.enabled or integration.status != Status.ACTIVE:
        return 0
    if integration.hold_until and integration.hold_until > timezone.now():
        return 0
    try:
        account = integration.account()
    except SecretUnreadable:
        checked = unreadable()
        needs_attention(integration, checked.reason, checked.fix)
        return 0
    work = Drain(integration, account)
    handled = work.run()
    if not work.stopped and handled and more_is_due(integration_id):
        bell.ring(integration_id)
    return handled


def send_now(delivery: EventDelivery) -> None:
    """Send one queued delivery in this process and write down what came of it. Nothing happens where it is no longer due.

    For a person who waits for the answer: a test event. Raises SecretUnreadable.
    """
    integration = Integration.objects.select_related("merchant").get(pk=delivery.integration_id)
    work, owner, now = Drain(integration, integration.account()), claims.new_owner(), timezone.now()
    claimed = claims.claim_these([str(delivery.pk)], owner, now)
    try:
        if claimed:
            work._send_all(work._board(claimed, owner, now))
    finally:
        claims.release(owner)
    delivery.refresh_from_db()
