"""The breaker of one integration: a provider that does not answer is looked at again and again, by a single event each time.

Calls in a row that got no answer open it (`DELIVERY_BREAKER_FAILURES`). Calls side by side count as one, as the same blip hit
them all; after the first, single events ask again, so that an outage costs few events a try. While it is open nothing is
tried, and no delivery uses up a try. After a pause (`DELIVERY_BREAKER_STEPS`, growing) it is half-open: one worker sends one
event. An answer closes it, silence opens it for longer. It is kept in the integration's row, so it is the same for all
workers and machines and outlives them; every step is one conditional UPDATE.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from events.retry import jittered
from integrations.hygiene import about
from integrations.models import BREAKER_CLOSED, Integration
from integrations.providers.base import Answer, Fault

logger = logging.getLogger(__name__)
LONGEST_PAUSE_SECONDS = 300.0  # where the pauses are taken from the steps of retries
SERVER_ERRORS = 500
# What says that the provider is away. Other faults are ours, or an answer that we do not want.
SILENCES = frozenset(["refused", "dns", "tls", "connect_timeout", "read_timeout", "cut"])


class State(StrEnum):
    """What an integration's breaker lets through."""

    CLOSED = "closed"  # everything
    OPEN = "open"  # nothing, until a time
    HALF_OPEN = "half_open"  # one event, to see whether the provider answers


def state(integration: Integration, now: datetime | None = None) -> State:
    """Return how the breaker stands, from the integration's row as it was loaded. No query."""
    if integration.breaker_until is None:
        return State.CLOSED
    return State.OPEN if integration.breaker_until > (now or timezone.now()) else State.HALF_OPEN


def is_shut_out(now: datetime) -> Q:
    """Return the condition on integrations through which not even one event may leave now."""
    return Q(breaker_until__gt=now) | Q(breaker_probe_until__gt=now)


def pause(trips: int) -> timedelta:
    """Return how long the breaker stays open when it opens for the `trips`-th time in a row; up to a fifth longer, never less.

    Without steps of its own it takes those of the retries from the second on, where these are not longer than five minutes.
    """
    steps = settings.DELIVERY_BREAKER_STEPS
    if not steps:
        tries = settings.DELIVERY_RETRY_STEPS
        steps = [min(step, LONGEST_PAUSE_SECONDS) for step in tries[1:] or tries]
    return jittered(steps[min(trips, len(steps)) - 1])


def is_silence(answer: Answer, asks: float | None) -> bool | None:
    """Tell whether a call got no answer from the provider itself; None where it says nothing either way.

    A 4xx is an answer. `asks`: the provider asked to be left alone, for which there is a hold.
    """
    if isinstance(answer, Fault):
        return True if answer.kind in SILENCES else None
    return answer.status >= SERVER_ERRORS if asks is None else None


def failed(integration: Integration, asked_at: datetime) -> bool:
    """Note that a call which left at `asked_at` got no answer. Returns whether nothing more may leave."""
    now, rows = timezone.now(), Integration.objects.filter(pk=integration.pk)
    opened = _fail_probe(integration, asked_at, now)
    other_blip = Q(breaker_failed_at__isnull=True) | Q(breaker_failed_at__lt=asked_at)
    counted = not opened and rows.filter(other_blip, breaker_until__isnull=True).update(
        breaker_failures=F("breaker_failures") + 1,
        breaker_failed_at=now,
        breaker_failing_since=Coalesce("breaker_failing_since", asked_at),
    )
    if counted:
        enough = rows.filter(breaker_until__isnull=True, breaker_failures__gte=max(1, settings.DELIVERY_BREAKER_FAILURES))
        opened = enough.update(breaker_until=now + pause(1), breaker_trips=1, breaker_probe_until=None)
    integration.refresh_from_db(fields=list(BREAKER_CLOSED))
    if opened:
        logger.warning(
            "The provider of integration %s does not answer: nothing is tried for %.0f s.",
            integration.pk,
            ((integration.breaker_until or now) - now).total_seconds(),
            extra=about(integration.pk),
        )
    return integration.breaker_until is not None


def _fail_probe(integration: Integration, asked_at: datetime, now: datetime) -> int:
    """Open a half-open breaker for longer, unless the call left before it was half-open: that belongs to the former blip."""
    integration.refresh_from_db(fields=["breaker_trips"])
    trips = integration.breaker_trips + 1
    half_open = Integration.objects.filter(pk=integration.pk, breaker_until__lte=asked_at, breaker_trips=trips - 1)
    return half_open.update(
        breaker_until=now + pause(trips), breaker_trips=trips, breaker_failed_at=now, breaker_probe_until=None
    )


def answered(integration: Integration, asked_at: datetime) -> None:
    """Note that the provider answered a call which left at `asked_at`: that ends a row of failures, and closes the breaker.

    An open one stays: the call left before it opened. Costs nothing while all is well, as far as the integration was looked at.
    """
    if not integration.breaker_failures and integration.breaker_until is None:
        return
    fitting = Q(breaker_until__isnull=True) | Q(breaker_until__lte=asked_at)
    if Integration.objects.filter(fitting, pk=integration.pk).update(**BREAKER_CLOSED):
        if integration.breaker_until is not None:
            logger.warning("The provider of integration %s answers again.", integration.pk, extra=about(integration.pk))
        for name, value in BREAKER_CLOSED.items():
            setattr(integration, name, value)


@contextmanager
def probe(integration: Integration) -> Iterator[bool]:
    """Take the right to try one event through a half-open breaker; False where it is open, or another worker has it."""
    now = timezone.now()
    until = now + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)
    free = Q(breaker_probe_until__isnull=True) | Q(breaker_probe_until__lte=now)
    rows = Integration.objects.filter(pk=integration.pk)
    taken = bool(rows.filter(free, breaker_until__lte=now).update(breaker_probe_until=until))
    try:
        yield taken
    finally:
        if taken:  # also where the call said nothing either way, or nothing was there to be tried
            rows.filter(breaker_probe_until=until).update(breaker_probe_until=None)
