"""What every sender of calls shares: stamping them, sending them, and acting on what comes back.

A wave (`events.drain`) sends large calls, a stream (`events.stream`) small ones, a push (`events.pushing`) profiles alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from events import breaker, closing, contacts, staleness
from events.claims import Claimed
from events.excerpts import request_text
from events.flights import Flight, Landing, note_end, patience, read, send
from events.models import Call, CallKind
from events.pacing import gate_of
from events.pause import credentials_refused, leave_alone, resumed
from events.quiet import quiet_hours_of
from events.results import settle
from events.stamping import Allowance, is_left_alone, now_or_later, postpone, stamp
from events.turns import Place
from integrations.hygiene import about
from integrations.models import Integration
from integrations.providers.base import Account, Outcome, Profile, Reading, Verdict
from integrations.providers.base import Call as ProviderCall

logger = logging.getLogger(__name__)
THREAD_SHARE = 3  # a third of the calls that may be under way is being sent; the others can be committed ahead of time


class Sender:
    """Sends calls of one integration. `stopped` says that none may leave any more."""

    def __init__(self, integration: Integration, account: Account) -> None:
        """Work for this integration with these credentials."""
        self.integration = integration
        self.account = account
        self.contract = integration.contract
        self.allowance = Allowance(
            self.contract.limits, self.contract.calls_per_second(account), self.contract.limits.per_minute, is_fresh=True
        )
        self.gave_way = False  # to another worker, which goes on and looks again in the end
        self.place: Place | None = None  # among the workers of this integration; kept as long as calls leave
        self.gate = gate_of(integration.pk, self.allowance.per_second) if self.allowance.per_second else None
        most = self.contract.limits.calls_in_flight
        # Where a rate is given, a call that has its moment has a thread: in a queue it would miss it, and leave in a crowd.
        self.threads = most if self.allowance.per_second else max(1, most // THREAD_SHARE)
        self.secrets = tuple(account.secrets.values())
        self.stopped = False
        self.may_be_overtaken = staleness.may_be_overtaken(integration.pk)
        self.quiet_hours = quiet_hours_of(integration)

    def still_worth(self, claimed: Sequence[Claimed], owner: str) -> list[Claimed]:
        """Return the claimed deliveries that may leave and are still worth it; the others wait, or are skipped."""
        left = self.quiet_hours.left(claimed, owner)
        return staleness.still_worth(self.integration.pk, left, owner) if self.may_be_overtaken else left

    def stamp(self, calls: Sequence[ProviderCall], profiles: Mapping[str, Profile], owner: str = "") -> list[Flight]:
        """Commit that these calls start, as far as the contract allows. Returns those that may leave."""
        if self.place:
            self.place.keep()
        started_at, began = timezone.now(), time.monotonic()
        lease_until = started_at + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)
        rows = [
            Call(
                integration=self.integration,
                kind=_kind(call),
                started_at=started_at,
                lease_until=lease_until,
                records=len(call.records),
                request=request_text(call.request),
            )
            for call in calls
        ]
        provider_calls = {id(row): call for row, call in zip(rows, calls, strict=True)}
        leaving = stamp(rows, [call.delivery_ids for call in calls], owner, self.allowance, [call.spends for call in calls])
        self.allowance = replace(self.allowance, is_fresh=False)
        if len(leaving) < len(rows) and is_left_alone(self.integration, self.allowance.is_probe):
            self.stopped = True  # by another worker's news
        return [
            Flight(row, provider_calls[id(row)], profiles, self.secrets, began + now_or_later(row, started_at), gate=self.gate)
            for row in leaving
        ]

    def in_time(self, flights: Sequence[Flight]) -> list[Flight]:
        """Return committed calls as they may leave now: where the commit took longer than their moments, all move on together."""
        late = time.monotonic() - flights[0].leaves_at if flights and self.allowance.per_second else 0.0
        if late <= 0:
            return list(flights)
        postpone(self.integration.pk, late)
        return [replace(flight, leaves_at=flight.leaves_at + late) for flight in flights]

    def land(self, landing: Landing, answer: Reading | None = None, is_settled: bool | None = None) -> Reading | None:
        """Write down what one answer meant; act on what it says about the integration. None: it came after its lease.

        `is_settled`: what came of writing it down, where that is done already: of a plain yes.
        """
        flight, now = landing.flight, timezone.now()
        reading = answer or read(self.contract, flight.call, landing.answer)
        row = note_end(landing)
        seconds = patience(landing.answer, reading, now)
        if seconds is not None:
            if seconds >= 0 or not self.stopped:  # calls side by side that are all told to wait are one hold, not many
                leave_alone(self.integration, seconds, now, row.started_at)
            self.stopped = True
        if not closing.is_closing():  # then we ourselves may have hung up
            self.heed(breaker.is_silence(landing.answer, seconds), row.started_at)
        if self.takes_over(landing, reading):
            return reading
        if is_settled is None:
            is_settled = settle(row, reading, now, held=seconds is not None or landing.was_withdrawn)
        if not is_settled:
            logger.warning(
                "Call %s of integration %s ended after its lease; it stays uncertain.",
                row.pk,
                self.integration.pk,
                extra=about(self.integration.pk, row.pk),
            )
            return None
        contacts.note(self.integration, [(flight, reading)])
        if reading.refused:
            self.push_again(reading.refused)
        if reading.verdict.outcome is Outcome.CONFIGURATION:
            stopped, self.stopped = self.stopped, True
            if not stopped:  # of calls side by side the first asks the credential check
                self.distrust(reading.verdict, row.started_at)
        elif reading.verdict.outcome is Outcome.ACCEPTED and not self.stopped:  # it must not end a hold of its own wave
            resumed(self.integration)
        return reading

    def heed(self, silent: bool | None, asked_at: datetime) -> None:
        """Tell the breaker whether the provider answered a call that left at `asked_at`; stop where nothing more may leave."""
        if silent:
            self.stopped = breaker.failed(self.integration, asked_at) or self.stopped
        elif silent is not None:
            breaker.answered(self.integration, asked_at)

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Let one call through a half-open breaker."""
        self.allowance = replace(self.allowance, is_probe=True)
        try:
            yield
        finally:
            self.allowance = replace(self.allowance, is_probe=False)

    def distrust(self, verdict: Verdict, asked_at: datetime) -> None:
        """The provider refused our credentials: stop, if its own check or several refusals in a row say so."""
        if closing.is_closing():
            return  # the next worker will be told the same, and has the time to ask
        credentials_refused(self.integration, self.account, verdict, timezone.now(), asked_at)

    def takes_over(self, landing: Landing, reading: Reading) -> bool:
        """Write an answer down in a way of one's own, and return True; by default there is none."""
        return False

    def push_again(self, refused: Iterable[str]) -> None:
        """Send refused profiles once more, at once, without the attribute that the provider did not take."""
        if closing.is_closing():
            return  # they are noted; the next push takes them along
        profiles = contacts.dirty(self.integration, refused)
        packed = self.contract.pack_contacts(self.account, profiles.values(), timezone.now())
        for flight in self.in_time(self.stamp(packed.calls, profiles)):
            self.land(send(flight))


def _kind(call: ProviderCall) -> str:
    """Return what a call carries."""
    if call.is_bulk:
        return CallKind.BULK
    return CallKind.EVENTS if call.delivery_ids else CallKind.CONTACT
