"""What happens to the system: a deck of actions, shuffled by the seed, and faults of every kind at every provider."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import psycopg
import redis
from django.conf import settings

from nectorbridge.chaos.crew import Crew, freeze, strike, victim
from nectorbridge.chaos.servers import Servers
from nectorbridge.chaos.witness import Witness
from nectorbridge.sandbox.faults import Fault

KILL = "kill -9: "
# Each with how often it is in a deck. The first deck has each once, so that a small run sees all of them.
KILLS = {
    "task process": 3,
    "busy task process": 4,
    "monitor": 1,
    "pusher": 1,
    "sentinel": 1,
    "main process": 1,
    "supervisor": 1,
    "whole worker": 2,
    "recorder": 1,
}
OTHERS = {"stop gracefully": 2, "freeze": 1, "tasks doubled": 2, "tasks dropped": 2}
ON_POSTGRES = {"PostgreSQL restarted at once": 1, "PostgreSQL sessions cut": 1, "Redis flushed": 1, "Redis restarted": 1}
PAUSE_SECONDS = (0.8, 2.2)
AWAY_SECONDS = (0.0, 1.5)
FREEZE_BEYOND_LEASE = 1.5  # seconds
COPIES = 3
PUT_OFF_MAX = 10

FAULT_EVERY_SECONDS = 0.35
FAULTS_AT_ONCE = 2  # per provider
BEYOND_TIMEOUT = 1.2  # times
# Kind, options, and how often. 5xx and redirects are answered without taking the call in, as a gateway does.
FAULTS: tuple[tuple[str, Mapping[str, Any], int], ...] = (
    ("status", {"status": 500}, 2),
    ("status", {"status": 502, "body": "<html>Bad gateway</html>"}, 1),
    ("status", {"status": 503, "headers": {"Retry-After": "1"}}, 1),
    ("status", {"status": 302, "headers": {"Location": "http://127.0.0.1:9/"}}, 1),
    ("rate_limit", {"headers": {"Retry-After": "1"}}, 1),
    ("latency", {"seconds": 0.7}, 2),
    ("latency", {"seconds": -1.0}, 1),  # beyond the timeout
    ("drop_after_accept", {}, 2),
    ("drop_before", {}, 1),
    ("garbage", {"process": True}, 1),
    ("garbage", {"process": False}, 1),
    ("drip", {"seconds": 0.2}, 1),
    ("huge", {"size_bytes": 5_000_000}, 1),
)
PARTIAL = ("partial", {"every": 5, "code": 555})  # CleverTap's "try again"; other providers' refusals are final


def deck(chance: random.Random, has_postgres: bool) -> Iterator[str]:
    """Yield actions for ever."""
    counts = {KILL + role: count for role, count in KILLS.items()} | OTHERS | (ON_POSTGRES if has_postgres else {})
    cards = list(counts)
    while True:
        chance.shuffle(cards)
        yield from cards
        cards = [name for name, count in counts.items() for _ in range(count)]


class Trouble:
    """Makes it, and counts what it made."""

    def __init__(self, crew: Crew, servers: Servers, witness: Witness, seed: int) -> None:
        """Prepare with the seed's own shuffle."""
        self.crew, self.servers, self.witness = crew, servers, witness
        self.chance = random.Random(f"trouble:{seed}")  # noqa: S311 - the same seed, the same trouble
        self.made: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self._deck = deck(self.chance, servers.postgres is not None)
        self._put_off: list[str] = []
        self._next_fault_at = 0.0

    def pause(self) -> float:
        """Return how long to wait for the next action."""
        return self.chance.uniform(*PAUSE_SECONDS)

    # --- The providers -------------------------------------------------------------------------------------------------
    def spoil(self) -> None:
        """Now and then give some provider a fault for a few calls."""
        if time.monotonic() < self._next_fault_at:
            return
        self._next_fault_at = time.monotonic() + FAULT_EVERY_SECONDS
        provider = self.chance.choice(list(self.witness.stores))
        kind, options, _often = self.chance.choices(FAULTS, [often for *_fault, often in FAULTS])[0]
        if provider == "clevertap" and self.chance.random() < 0.2:
            kind, options = PARTIAL
        options = dict(options)
        if options.get("seconds", 0.0) < 0:
            options["seconds"] = settings.DELIVERY_HTTP_TIMEOUT_SECONDS * BEYOND_TIMEOUT
        times = self.chance.randint(1, 3)
        if len(self.witness.faults.active(provider)) < FAULTS_AT_ONCE:
            self.faults.append(self.witness.fault(provider, kind, times=times, **options))

    def served(self) -> Counter[str]:
        """Return how many calls met which fault."""
        counts: Counter[str] = Counter()
        for fault in self.faults:
            counts[f"status {fault.status}" if fault.kind == "status" else fault.kind] += fault.served
        return counts

    # --- The processes -------------------------------------------------------------------------------------------------
    def act(self) -> str:
        """Do the next thing that can be done; what cannot be done now is tried again at the next turn. Returns what."""
        tried: list[str] = []
        while True:
            name = self._put_off.pop(0) if self._put_off else next(self._deck)
            try:
                self._do(name)
            except (LookupError, ValueError, psycopg.Error, redis.RedisError, OSError):  # nobody plays that role, or it is away
                tried.append(name)
                continue
            self._put_off = tried[:PUT_OFF_MAX]
            self.made[name] += 1
            return name

    def _do(self, name: str) -> None:
        """Do one thing. Raises LookupError or ValueError where it cannot be done now."""
        if name.startswith(KILL):
            strike(self._find(name.removeprefix(KILL)))
            return
        others: dict[str, Callable[[], None]] = {
            "stop gracefully": lambda: strike(self._find("supervisor"), signal.SIGTERM),
            "freeze": self._freeze,
            "tasks doubled": self._double,
            "tasks dropped": self._drop,
            "PostgreSQL restarted at once": lambda: self._postgres(signal.SIGQUIT),
            "PostgreSQL sessions cut": lambda: self.servers.postgres.cut_connections(),  # type: ignore[union-attr]
            "Redis flushed": lambda: self.servers.redis.flush(),  # type: ignore[union-attr]
            "Redis restarted": self._redis,
        }
        others[name]()

    def _find(self, role: str) -> list[int]:
        """Return the processes of a role."""
        return victim(self.crew, role, int(self.witness.url.rpartition(":")[2]), self.chance)

    def _freeze(self) -> None:
        """Stop a task process until its leases are over, and let it go on as if nothing had happened."""
        freeze(self._find("busy task process"), settings.DELIVERY_LEASE_SECONDS + FREEZE_BEYOND_LEASE)

    def _postgres(self, number: int) -> None:
        assert self.servers.postgres is not None
        self.servers.postgres.restart(number, self.chance.uniform(*AWAY_SECONDS))

    def _redis(self) -> None:
        assert self.servers.redis is not None
        self.servers.redis.restart(signal.SIGKILL, self.chance.uniform(*AWAY_SECONDS))

    def _double(self) -> None:
        """Ask for several drains of each integration, past the bell."""
        from django.db import Error
        from django_q.tasks import async_task

        from events.bell import DRAIN_TASK
        from integrations.models import Integration

        with suppress(Error):
            for pk in list(Integration.objects.values_list("pk", flat=True)):
                for _ in range(self.chance.randint(1, COPIES)):
                    async_task(DRAIN_TASK, pk, q_options={"save": False})

    def _drop(self) -> None:
        """Lose every task that waits in the queue."""
        from django.db import Error
        from django_q.models import OrmQ

        if self.servers.redis is not None:
            self.servers.redis.flush()
            return
        with suppress(Error):
            OrmQ.objects.all().delete()
