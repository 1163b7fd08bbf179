"""One call on its way: its row, its request, the profiles that travel in it, and the moment at which it may leave."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from events import closing
from events.excerpts import response_text
from events.models import Call
from events.pacing import Gate
from events.retry import retry_after
from integrations import http
from integrations.providers.base import Answer, Fault, Outcome, Profile, Provider, Reading, Response, Verdict
from integrations.providers.base import Call as ProviderCall

logger = logging.getLogger(__name__)
CLOSING = Fault("closing", _("The worker was told to stop before this left; nothing was sent."), sent=False)


@dataclass(frozen=True, slots=True)
class Flight:
    """One call about to leave. `leaves_at` is a monotonic time; 0: at once. `refs` are its customers, in a stream."""

    row: Call
    call: ProviderCall
    profiles: Mapping[str, Profile]
    secrets: tuple[str, ...]  # to be masked in whatever comes back
    leaves_at: float = 0.0
    refs: tuple[str, ...] = ()
    gate: Gate | None = None  # of an account with a rate


@dataclass(frozen=True, slots=True)
class Landing:
    """One call that is back: its answer, and how long it took."""

    flight: Flight
    answer: Answer
    duration_ms: int

    @property
    def was_withdrawn(self) -> bool:
        """Tell whether the call did not leave because this process is about to end: that costs nobody a try."""
        return self.answer == CLOSING


def send(flight: Flight) -> Landing:
    """Send one call when its moment has come. Runs in a thread: no database here."""
    if (wait := flight.leaves_at - time.monotonic()) > 0:
        time.sleep(wait)
    if flight.gate is not None:
        flight.gate.wait()
    if timezone.now() >= flight.row.lease_until:  # this process was stopped: others may have sent it again
        return Landing(flight, Fault("late", _("Our own machine was too slow; nothing was sent."), sent=False), 0)
    if closing.is_closing():
        return Landing(flight, CLOSING, 0)
    began = time.monotonic()
    answer = http.send(flight.call.request, settings.DELIVERY_HTTP_TIMEOUT_SECONDS, flight.secrets)
    return Landing(flight, answer, round((time.monotonic() - began) * 1000))


def read(contract: Provider, call: ProviderCall, answer: Answer) -> Reading:
    """Return the answer's meaning. A fault after the body left is uncertain; a parser of ours that breaks, too."""
    if isinstance(answer, Fault):
        outcome = Outcome.UNCERTAIN if answer.sent else Outcome.TRANSIENT
        if answer.kind == http.UNSENDABLE:
            outcome = Outcome.CONFIGURATION
        return Reading(Verdict(outcome, answer.kind, answer.message))
    try:
        return contract.read(call, answer)
    except Exception:  # the worker's edge: our bug must not stop the queue, nor lose the record of this call
        logger.exception("The answer to a call to %s could not be read.", contract.slug)
        return Reading(Verdict(Outcome.UNCERTAIN, "internal", _("Our own reading of the answer failed; it was logged.")))


def patience(answer: Answer, reading: Reading, now: datetime) -> float | None:
    """Return how long the provider asks to be left alone, None if it does not ask. Negative: it names no time."""
    if reading.verdict.outcome is not Outcome.TRANSIENT:
        return None
    if isinstance(answer, Response) and (named := retry_after(answer.status, answer.headers, now)) is not None:
        return named
    if reading.hold_seconds is None:
        return None
    return reading.hold_seconds if reading.is_hold_named else -reading.hold_seconds


def note_end(landing: Landing) -> Call:
    """Put what came back on the call's row and return it; `events.results` saves it."""
    row, answer = landing.flight.row, landing.answer
    row.duration_ms = landing.duration_ms
    row.http_status = answer.status if isinstance(answer, Response) else None
    row.response = response_text(answer)
    return row
