"""kill -9 of each kind of process while events are recorded: nothing lost, nothing stuck, every duplicate known beforehand.

No ratio but a check. Time is compressed (see `catalogue.SHORT_TIMES`); what counts is lease + sweep + 30 s of these values.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from events.models import DeliveryAttempt, EventDelivery
from events.states import Reason, State
from integrations.providers.base import Outcome
from nectorbridge.bench import world
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.family import Family, kill
from nectorbridge.bench.running import SandboxClient, TooLate, process, sandbox, wait_for, wait_for_canary
from nectorbridge.loyalty import services

NAME = "recover"
SLACK_SECONDS = 30.0  # on top of lease and sweep
GIVE_UP_AFTER = 2.0  # times the bar: then something is stuck
CALL_SECONDS = 3.0  # how late the provider answers the call whose worker dies; less than the HTTP timeout
BEFORE_SECONDS, AFTER_SECONDS = 0.5, 2.0  # how long events are recorded around the kill
EVERY_SECONDS = 0.05
COLUMNS = ("killed", "events", "s until settled", "sent", "uncertain", "lost", "stuck", "duplicates", "known beforehand")


@dataclass(frozen=True)
class Victim:
    """Who is killed, and whether in the middle of a call, or while nothing is to do."""

    name: str
    choose: Callable[[Family, SandboxClient], int]
    in_call: bool = False
    is_idle: bool = False
    starts_anew: bool = False  # nobody watches over a supervisor: a person or a service manager starts it again


VICTIMS = (
    Victim("idle worker, first", lambda family, _: family.workers[0], is_idle=True),
    Victim("idle worker, second", lambda family, _: family.workers[1], is_idle=True),
    Victim("busy worker, in a call", lambda family, client: family.talking_to(client.port), in_call=True),
    Victim("monitor", lambda family, _: family.monitor),
    Victim("pusher", lambda family, _: family.pusher),
    Victim("sentinel", lambda family, _: family.sentinel),
    Victim("cluster's main process", lambda family, _: family.main),
    Victim("supervisor, then started anew", lambda family, _: family.supervisor, starts_anew=True),
    Victim("supervisor, in a call", lambda family, _: family.supervisor, in_call=True, starts_anew=True),
)


class Trial:
    """One kill, from a working system to a settled one."""

    def __init__(self, victim: Victim, place: world.World, client: SandboxClient) -> None:
        """Prepare."""
        self.victim, self.place, self.client = victim, place, client
        self.began_at: datetime = timezone.now()
        self.limit = allowance()

    def run(self) -> list[Any]:
        """Kill, wait, and return the row of the table."""
        self.client.reset()
        with ExitStack() as stack:
            child = stack.enter_context(process("manage", "worker", "--grace", "2"))
            wait_for_canary(child)
            self.began_at = timezone.now()
            if self.victim.in_call:
                self._begin_call()
            family = Family(child.process.pid)
            with recording(self.place, 0.0 if self.victim.is_idle or self.victim.in_call else BEFORE_SECONDS):
                kill(self.victim.choose(family, self.client))
                killed_at = time.monotonic()
                if self.victim.starts_anew:
                    child.process.wait()
                    stack.enter_context(process("manage", "worker", "--grace", "2"))
            with suppress(TooLate):  # the row tells
                wait_for(self._is_settled, self.limit * GIVE_UP_AFTER, "the queue to empty")
            return self._row(time.monotonic() - killed_at)

    def _begin_call(self) -> None:
        """Record one event and wait until its call is under way at a provider that answers late."""
        self.client.slow_down_once(CALL_SECONDS)
        services.credit(self.place.customers[0], 1, "in a call")
        wait_for(lambda: self.client.summary()["events"], SLACK_SECONDS, "the call to arrive")

    def _is_settled(self) -> bool:
        return self.place.is_done()

    def _row(self, seconds: float) -> list[Any]:
        """Return what became of every event recorded in this trial."""
        recorded = EventDelivery.objects.filter(integration=self.place.integration, created_at__gte=self.began_at)
        states = {str(row.pk): (row.status, row.reason) for row in recorded}
        times = self.client.times()
        sent = {key for key, (status, _) in states.items() if status == State.SENT}
        uncertain = {key for key, state in states.items() if state == (State.FAILED, Reason.UNCERTAIN)}
        stuck = self.place.unfinished()
        lost = [key for key in states if key not in sent | uncertain or (key in sent and not times[key])]
        doubled = [key for key in states if times[key] > 1]
        known = [key for key in doubled if _uncertain_attempts(key) >= times[key] - 1]
        counts = (len(sent), len(uncertain), len(lost) - stuck, stuck, len(doubled), len(known))
        return [self.victim.name, len(states), seconds, *counts]


def _uncertain_attempts(delivery: str) -> int:
    """Return how many tries were recorded as uncertain; a resend becomes due only once that is written."""
    return DeliveryAttempt.objects.filter(delivery=uuid.UUID(delivery), outcome=Outcome.UNCERTAIN).count()


@contextmanager
def recording(place: world.World, head_start: float) -> Iterator[None]:
    """Record events from a while before the block until a while after it."""
    stop = threading.Event()

    def record() -> None:
        number = 0
        while not stop.wait(EVERY_SECONDS):
            services.credit(place.customers[number % len(place.customers)], 1, "while something dies")
            number += 1
        connection.close()

    thread = threading.Thread(target=record, name="recording", daemon=True)
    if head_start:
        thread.start()
        time.sleep(head_start)
    try:
        yield
        if not head_start:
            thread.start()
        time.sleep(AFTER_SECONDS)
    finally:
        stop.set()
        if thread.is_alive():
            thread.join()


def allowance() -> float:
    """Return the seconds after which nothing may be stuck any more."""
    return settings.DELIVERY_LEASE_SECONDS + settings.DELIVERY_SWEEP_SECONDS + SLACK_SECONDS


def is_good(row: list[Any], limit: float) -> bool:
    """Tell whether nothing was lost or stuck, in time, and every duplicate was known beforehand."""
    _, events, seconds, _, _, lost, stuck, doubled, known = row
    return events > 0 and seconds <= limit and not lost and not stuck and doubled == known


def run(options: Options) -> dict[str, Any]:
    """Kill each kind of process once; pairs mean nothing here."""
    place, rows = world.build(customers=20), []
    victims = VICTIMS[2:3] if options.is_quick else VICTIMS
    with sandbox() as client:
        for victim in victims:
            rows.append(Trial(victim, place, client).run())
            options.note(f"{NAME}: {victim.name}: {rows[-1][2]:.1f} s")
    limit = allowance()
    return {
        "name": NAME,
        "what": f"kill -9 while events are recorded (lease {settings.DELIVERY_LEASE_SECONDS:g} s)",
        "columns": COLUMNS,
        "rows": rows,
        "bar": f"nothing lost, nothing stuck after {limit:g} s, every duplicate recorded as uncertain beforehand",
        "verdict": "met" if all(is_good(row, limit) for row in rows) else "missed",
    }
