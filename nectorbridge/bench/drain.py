"""Draining a queue to CleverTap at 20 ms per call, next to django-q2 with one task per event."""

from __future__ import annotations

import time
from typing import Any

from django.db import connection
from django_q.tasks import async_task

from events import tasks as outbox
from events.models import EventDelivery
from nectorbridge.bench import tasks, world
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.measure import Bar, Comparison, compare
from nectorbridge.bench.running import SandboxClient, TooLate, plain_cluster, sandbox, wait_for

NAME = "drain"
BARS = {"sqlite": Bar(60.0, at_most=False), "postgresql": Bar(45.0, at_most=False)}
LATENCY_SECONDS = 0.02
DELIVERIES, QUICK_DELIVERIES = 20_000, 20
CUSTOMERS, QUICK_CUSTOMERS = 1000, 5
TASKS, QUICK_TASKS = 600, 8
DRAINS_MAX = 50
LONGEST_SECONDS = 120.0


class Ours:
    """Queues deliveries of known customers and drains them in this process."""

    def __init__(self, options: Options, provider: str = "clevertap", deliveries: int = DELIVERIES) -> None:
        """Make the customers known to the provider first: their profiles do not travel again."""
        self.count = options.size(deliveries, QUICK_DELIVERIES)
        self.place = world.build(options.size(min(CUSTOMERS, deliveries), QUICK_CUSTOMERS), provider)
        self.place.queue(len(self.place.customers))
        self.drain()

    def rate(self) -> float:
        """Return the events per second of one drain."""
        self.place.queue(self.count)
        began = time.perf_counter()
        self.drain()
        return self.count / (time.perf_counter() - began)

    def drain(self) -> None:
        """Empty the queue. Raises TooLate where it does not get empty."""
        for _ in range(DRAINS_MAX):
            outbox.drain(self.place.integration.pk)
            if self.place.is_done():
                return
        raise TooLate(f"{self.place.unfinished()} deliveries are left after {DRAINS_MAX} drains")


class TaskPerEvent:
    """The baseline: a cluster of four workers, one POST per task, nothing stored."""

    def __init__(self, count: int, event: dict[str, Any], client: SandboxClient) -> None:
        """Send `count` copies of the event per figure; the rate at steady state does not depend on their number."""
        self.count = count
        self.event = event
        self.url = client.upload
        self.headers = {
            "Content-Type": "application/json",
            "X-CleverTap-Account-Id": "BENCH-000-000-000",
            "X-CleverTap-Passcode": "bench",
        }

    def rate(self) -> float:
        """Return the events per second from the first task's start to the last one's end."""
        tasks.diary("posts").unlink(missing_ok=True)
        for _ in range(self.count):
            async_task("nectorbridge.bench.tasks.post_one", self.url, self.event, self.headers, q_options={"save": False})
        with plain_cluster():
            wait_for(self._is_done, LONGEST_SECONDS, "the tasks to be done")
        times = [(float(line[1]), float(line[2])) for line in tasks.read_diary("posts")]
        return len(times) / (max(end for _, end in times) - min(start for start, _ in times))

    def _is_done(self) -> bool:
        time.sleep(0.1)  # counting must not disturb
        return sum(1 for _ in tasks.read_diary("posts")) >= self.count


def wire_event(delivery: EventDelivery) -> dict[str, Any]:
    """Return a delivery as CleverTap takes it."""
    identity, ts = delivery.recipient["customer_id"], int(delivery.occurred_at.timestamp())
    return {"type": "event", "identity": identity, "ts": ts, "evtName": delivery.event_name, "evtData": delivery.payload}


def run(options: Options) -> dict[str, Any]:
    """Measure; events per second."""
    with sandbox(LATENCY_SECONDS) as client:
        ours = Ours(options)
        event = wire_event(ours.place.definition.deliveries.latest("id"))
        baseline = TaskPerEvent(options.size(TASKS, QUICK_TASKS), event, client)
        ours.rate()
        what = f"draining {ours.count:,} deliveries, 20 ms per call / django-q2 with one task per event, 4 workers"
        comparison = Comparison(NAME, what, "events/s", BARS[connection.vendor])
        return compare(comparison, baseline.rate, ours.rate, options.pairs, options.note).as_dict()
