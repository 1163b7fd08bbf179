"""Four integrations beside a fifth whose provider times out on every call, next to the same four without the fifth.

One real worker with its four processes, one real sandbox process. The baseline is harder than a fifth that answers: there is
no fifth with anything to send. Before each figure the breaker is closed, so that each has in it what it costs to find out.
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.utils import timezone

from events import bell
from events.models import EventDelivery
from events.sql import IS_DUE
from events.states import State
from integrations.models import UNHELD, Integration
from nectorbridge.bench import world
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.measure import Bar, Comparison, compare, percentile
from nectorbridge.bench.running import SandboxClient, sandbox, wait_for, worker

THROUGHPUT = Bar(0.95, at_most=False)
TAIL = Bar(2.0, at_most=True)
LATENCY_SECONDS = 0.02
OTHERS = 4
CUSTOMERS, QUICK_CUSTOMERS = 500, 5
EVENTS, QUICK_EVENTS = 3000, 10  # of each of the four
SILENT_EVENTS, QUICK_SILENT_EVENTS = 2000, 5
TRICKLE, QUICK_TRICKLE = 200, 8  # events of the four, one after the other
TRICKLE_SECONDS = 0.025  # between two of them
LONGEST_SECONDS = 60.0
SILENT = "moengage"
MILLISECONDS = 1000.0


class Neighbours:
    """Four integrations that are answered, and one that is not."""

    def __init__(self, options: Options, client: SandboxClient) -> None:
        """Make all five, and let the fifth's provider fall silent for ever."""
        customers = options.size(CUSTOMERS, QUICK_CUSTOMERS)
        self.options = options
        self.places = [world.build(customers, slug=f"bench-{number}") for number in range(OTHERS)]
        self.silent = world.build(customers, SILENT, "bench-silent")
        client.silence(SILENT, settings.DELIVERY_HTTP_TIMEOUT_SECONDS * 2)
        self.calls_in_silence = 0

    def rate(self, is_one_silent: bool) -> float:
        """Return the events per second of the four, from the first bell until all are sent."""
        self._begin_anew()
        count = self.options.size(EVENTS, QUICK_EVENTS)
        for place in self.places:
            place.queue(count)
        if is_one_silent:
            self.silent.queue(self.options.size(SILENT_EVENTS, QUICK_SILENT_EVENTS))
        Integration.objects.update(bell_rung_at=None)
        began = time.perf_counter()
        for place in [self.silent] * is_one_silent + self.places:
            bell.ring(place.integration.pk)
        wait_for(self._is_done, LONGEST_SECONDS, "the four to be done")
        seconds = time.perf_counter() - began
        self._end(is_one_silent)
        return OTHERS * count / seconds

    def tail(self, is_one_silent: bool) -> float:
        """Return the 99th percentile of the milliseconds from due to accepted, of events of the four that come one by one."""
        self._begin_anew()
        began = timezone.now()
        for number in range(self.options.size(TRICKLE, QUICK_TRICKLE)):
            self.places[number % OTHERS].record_one(number)
            if is_one_silent and number % OTHERS == 0:
                self.silent.record_one(number)
            time.sleep(TRICKLE_SECONDS)
        wait_for(self._is_done, LONGEST_SECONDS, "the four to be done")
        rows = EventDelivery.objects.filter(integration__in=self._four(), created_at__gte=began, status=State.SENT)
        waits = [(sent - due).total_seconds() for due, sent in rows.values_list("created_at", "sent_at") if sent]
        self._end(is_one_silent)
        return percentile(waits, 0.99) * MILLISECONDS

    def _four(self) -> list[int]:
        return [place.integration.pk for place in self.places]

    def _is_done(self) -> bool:
        """Tell whether the four have nothing left."""
        return not self._unfinished(self._four())

    def _unfinished(self, integrations: list[int]) -> bool:
        """Tell whether something waits or is under way; each question has a partial index."""
        rows = EventDelivery.objects.filter(integration__in=integrations)
        return rows.filter(IS_DUE).exists() or rows.filter(status=State.SENDING).exists()

    def _begin_anew(self) -> None:
        """Let nothing of the last figure reach into the next one."""
        Integration.objects.update(**UNHELD)

    def _end(self, is_one_silent: bool) -> None:
        """Note how often the silent provider was asked, and withdraw what waits for it."""
        if is_one_silent:
            wait_for(self._is_withdrawn, LONGEST_SECONDS, "the silent one's calls to end")
            self.calls_in_silence = self.silent.integration.calls.count()

    def _is_withdrawn(self) -> bool:
        """Cancel what waits for the silent provider; tell whether nothing is under way any more."""
        mine = EventDelivery.objects.filter(integration=self.silent.integration)
        mine.filter(IS_DUE).update(status=State.CANCELLED, next_attempt_at=None)
        return not self._unfinished([self.silent.integration.pk])


def run(options: Options) -> dict[str, Any]:
    """Measure the throughput; events per second."""
    count = options.size(EVENTS, QUICK_EVENTS)
    what = f"{OTHERS} x {count:,} events, a fifth integration timing out on every call / without the fifth"
    with sandbox(LATENCY_SECONDS) as client, worker():
        neighbours = Neighbours(options, client)
        neighbours.rate(False)
        comparison = Comparison("fairness", what, "events/s", THROUGHPUT)
        compare(comparison, lambda: neighbours.rate(False), lambda: neighbours.rate(True), options.pairs, options.note)
        comparison.extra = {"calls to the silent provider": neighbours.calls_in_silence}
    return comparison.as_dict()


def tail(options: Options) -> dict[str, Any]:
    """Measure the wait from due to accepted; milliseconds, 99th percentile."""
    what = f"{OTHERS} integrations' events one by one, a fifth timing out on every call / without the fifth, 99th percentile"
    with sandbox(LATENCY_SECONDS) as client, worker():
        neighbours = Neighbours(options, client)
        neighbours.tail(False)
        comparison = Comparison("fairness-tail", what, "ms", TAIL)
        compare(comparison, lambda: neighbours.tail(False), lambda: neighbours.tail(True), options.pairs, options.note)
        comparison.extra = {"calls to the silent provider": neighbours.calls_in_silence}
    return comparison.as_dict()
