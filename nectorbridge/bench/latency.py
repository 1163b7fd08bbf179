"""From the COMMIT of a wallet change to its request at the provider, next to the bare doorbell: django-q2's enqueue to start.

One real worker process and one real sandbox process; both sides use the same idle cluster in turn, at random moments
spread over its polling interval, and all times are wall-clock times of one machine.
"""

from __future__ import annotations

import random
import time
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any

from django.conf import settings
from django.db import transaction
from django_q.tasks import async_task

from nectorbridge.bench import tasks, world
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.measure import Bar, Comparison, compare, percentile
from nectorbridge.bench.running import SandboxClient, sandbox, wait_for, worker
from nectorbridge.loyalty import services

NAME = "latency"
BAR = Bar(2.5, at_most=True)
SAMPLES, QUICK_SAMPLES = 15, 2
WARM_UP = 8  # enough that each of the four workers has opened its connections
LONGEST_SECONDS = 20.0
SETTLE_SECONDS = 0.1
MILLISECONDS = 1000.0


class Moments:
    """When to sample: spread evenly over the polling interval, which begins anew whenever the cluster finds a task.

    Without that a pair's median would mostly tell at which moments it happened to knock.
    """

    def __init__(self, repeats: int) -> None:
        """Give each side of a pair `repeats` moments, in random order."""
        self.repeats = repeats
        self.last_task_at = time.time()
        self._left: dict[str, list[int]] = {}

    def wait(self, side: str) -> None:
        """Let the system come to rest, then wait for this side's next moment."""
        slots = self._left.get(side) or random.sample(range(self.repeats), self.repeats)
        self._left[side] = slots[1:]
        poll = settings.Q_CLUSTER["poll"]
        wanted = self.last_task_at + SETTLE_SECONDS + poll * (slots[0] + random.random()) / self.repeats  # noqa: S311 - no secret
        while wanted < time.time() + SETTLE_SECONDS:
            wanted += poll
        time.sleep(wanted - time.time())


class Bell:
    """The baseline: an empty task."""

    def __init__(self, moments: Moments) -> None:
        """Begin to count."""
        self.moments = moments
        self._numbers = count()

    def sample(self) -> float:
        """Enqueue one task; return the milliseconds until it began."""
        self.moments.wait("bell")
        number = next(self._numbers)
        rung_at = time.time()
        async_task("nectorbridge.bench.tasks.note_start", number, q_options={"save": False})
        wait_for(partial(self._started_at, number), LONGEST_SECONDS, "a task to start")
        self.moments.last_task_at = self._started_at(number) or rung_at
        return (self.moments.last_task_at - rung_at) * MILLISECONDS

    @staticmethod
    def _started_at(number: int) -> float | None:
        found = [float(line[1]) for line in tasks.read_diary("bell") if line[0] == str(number)]
        return found[0] if found else None


class WalletChange:
    """Ours: a credit through the ledger."""

    def __init__(self, moments: Moments, place: world.World, client: SandboxClient) -> None:
        """Keep every sample: the tail needs all of them."""
        self.moments = moments
        self.place = place
        self.client = client
        self.all: list[float] = []

    def sample(self) -> float:
        """Credit one customer; return the milliseconds from COMMIT until the provider had the event."""
        self.moments.wait("change")
        committed: list[float] = []
        with transaction.atomic():
            # The first thing to happen after COMMIT, before the bell is rung.
            transaction.on_commit(lambda: committed.append(time.time()))
            entry = services.credit(random.choice(self.place.customers), 10, "Welcome")  # noqa: S311 - no secret
        key = f"{self.place.definition.pk}:{world.TRIGGER}:{entry.pk}"
        delivery = str(self.place.definition.deliveries.values_list("pk", flat=True).get(idempotency_key=key))
        wait_for(lambda: self.client.arrived(delivery), LONGEST_SECONDS, "an event to arrive")
        arrived_at = datetime.fromisoformat(self.client.arrived(delivery)[0]["at"]).timestamp()
        wait_for(lambda: self.place.is_done(), LONGEST_SECONDS, "an event to be sent")
        self.moments.last_task_at = arrived_at
        self.all.append((arrived_at - committed[0]) * MILLISECONDS)
        return self.all[-1]


def run(options: Options) -> dict[str, Any]:
    """Measure; milliseconds, the median of each pair's samples."""
    place = world.build(customers=20)
    with sandbox() as client, worker():
        repeats = options.size(SAMPLES, QUICK_SAMPLES)
        moments = Moments(repeats)
        bell, change = Bell(moments), WalletChange(moments, place, client)
        for _ in range(options.size(WARM_UP, 1)):
            bell.sample()
            change.sample()
        change.all.clear()
        what = "COMMIT of a wallet change to its request at the provider / django-q2 enqueue to start, idle system"
        comparison = Comparison(NAME, what, "ms", BAR)
        compare(comparison, bell.sample, change.sample, options.pairs, options.note, repeats)
        comparison.extra = {
            "samples": len(change.all),
            "p50 ms": percentile(change.all, 0.5),
            "p99 ms": percentile(change.all, 0.99),
        }
    return comparison.as_dict()
