"""Four integrations beside a fifth whose provider times out on every call, next to the same four without the fifth.

One real worker with its processes, one real sandbox process. The baseline is harder than a fifth that answers: there is no
fifth with anything to send. Before each figure the breaker is closed, so that each has in it what it costs to find out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from events import bell
from events.lookups import IS_DUE
from events.models import ContactSync, EventDelivery, SyncState
from events.states import State
from events.syncing import start_sync
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
EVENTS, QUICK_EVENTS = 7500, 10  # of each of the four, more than leave within the window
WINDOW_SECONDS, QUICK_WINDOW_SECONDS = 8.0, 1.0  # so long that it has both in it: finding out, and living with it
HELD = timedelta(days=1)
SILENT_EVENTS, QUICK_SILENT_EVENTS = 2000, 5
TRICKLE, QUICK_TRICKLE = 160, 8  # events of the four, one after the other
TRICKLE_SECONDS = 0.02  # between two of them
LONGEST_SECONDS = 60.0
ANSWERING = "contlo"  # one event a call, so that a window of seconds has no coarse grain
SILENT = "moengage"
MILLISECONDS = 1000.0


class Neighbours:
    """Four integrations that are answered, and one that is not."""

    def __init__(self, options: Options, client: SandboxClient) -> None:
        """Make all five, push their customers' profiles, and let the fifth's provider fall silent for ever."""
        customers = options.size(CUSTOMERS, QUICK_CUSTOMERS)
        self.options = options
        self.window = QUICK_WINDOW_SECONDS if options.is_quick else WINDOW_SECONDS
        self.places = [world.build(customers, ANSWERING, f"bench-{number}") for number in range(OTHERS)]
        self.silent = world.build(customers, SILENT, "bench-silent")
        for place in [*self.places, self.silent]:  # as after connecting: what is measured is what comes later
            start_sync(place.integration)
        pushed = ContactSync.objects.filter(state=SyncState.DONE)
        wait_for(lambda: pushed.count() == OTHERS + 1, LONGEST_SECONDS, "profiles to be pushed")
        client.silence(SILENT, settings.DELIVERY_HTTP_TIMEOUT_SECONDS * 2)
        self.calls_in_silence = 0

    def rate(self, is_one_silent: bool) -> float:
        """Return the events per second of the four while their queues are full."""
        self._begin_anew()
        self._fill(self.places, self.options.size(EVENTS, QUICK_EVENTS))
        if is_one_silent:
            self._fill([self.silent], self.options.size(SILENT_EVENTS, QUICK_SILENT_EVENTS))
        Integration.objects.update(**UNHELD, bell_rung_at=None)
        began = timezone.now()
        for place in [self.silent] * is_one_silent + self.places:
            bell.ring(place.integration.pk)
        time.sleep(self.window)
        self._hold()
        wait_for(lambda: not self._is_under_way(self._four()), LONGEST_SECONDS, "calls under way to end")
        figure = self._sent_per_second(began)
        self._end(is_one_silent)
        return figure

    def _fill(self, places: Sequence[world.World], count: int) -> None:
        """Fill queues up to so many events; nobody sends meanwhile."""
        self._hold()
        for place in places:
            waiting = EventDelivery.objects.filter(IS_DUE, integration=place.integration).count()
            place.queue(max(0, count - waiting))

    def _hold(self) -> None:
        """Have nothing more leave, for whomever."""
        Integration.objects.update(hold_until=timezone.now() + HELD)

    def _sent_per_second(self, began: datetime) -> float:
        """Return the rate within the window, or up to the last event where the queues became empty before its end."""
        until = began + timedelta(seconds=self.window)
        rows = EventDelivery.objects.filter(integration__in=self._four(), sent_at__gte=began)
        last = rows.aggregate(last=Max("sent_at"))["last"] or until
        until = until if self._waits(self._four()) else min(until, last)
        return rows.filter(sent_at__lte=until).count() / (until - began).total_seconds()

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
        return not self._waits(self._four()) and not self._is_under_way(self._four())

    def _waits(self, integrations: list[int]) -> bool:
        return EventDelivery.objects.filter(IS_DUE, integration__in=integrations).exists()

    def _is_under_way(self, integrations: list[int]) -> bool:
        return EventDelivery.objects.filter(integration__in=integrations, status=State.SENDING).exists()

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
        return not self._is_under_way([self.silent.integration.pk])


def run(options: Options) -> dict[str, Any]:
    """Measure the throughput; events per second."""
    what = f"{OTHERS} integrations with full queues, a fifth timing out on every call / without the fifth"
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
