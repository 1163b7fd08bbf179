"""What arrived at one provider: exact counters, the newest calls as they came, and an index by delivery.

A call is kept as the bytes of its body and read again when somebody looks, which needs a fraction of the memory of the
parsed records and leaves nothing for the garbage collector to walk through while a benchmark runs.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from nectorbridge.sandbox.contract import Batch, Provider

KEPT_RECORDS = 200_000
KEPT_BYTES = 256_000_000  # of bodies
COUNTED_DELIVERIES = 2_000_000  # delivery ids whose count is remembered; the oldest are forgotten first
NONE_REFUSED: Mapping[int, str] = {}


@dataclass(frozen=True, slots=True)
class Arrived:
    """One record as it arrived. `call` counts the provider's calls, `number` the records of the call, both from 1."""

    provider: str
    account: str
    at: datetime
    call: int
    number: int
    kind: str
    name: str
    identity: str
    delivery: str
    code: str
    record: Any

    @property
    def is_accepted(self) -> bool:
        """Return whether the provider took it. The code says why not."""
        return not self.code

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        names = [name for name in self.__dataclass_fields__ if name != "at"]
        return {"at": self.at.isoformat(), "accepted": self.is_accepted} | {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class Counters:
    """Exact numbers since the start or the last reset. Records, except `calls`, `dry_runs` and `in_flight_peak`."""

    calls: int = 0
    events: int = 0
    profiles: int = 0
    refused: int = 0
    duplicates: int = 0  # accepted events whose delivery had been accepted before
    dry_runs: int = 0
    in_flight_peak: int = 0
    answers: Counter[str] = field(default_factory=Counter)  # by HTTP status, or `cut`
    refusals: Counter[str] = field(default_factory=Counter)  # by the provider's code


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    call: int
    at: float  # epoch seconds
    account: str
    body: bytes
    deliveries: Sequence[str]
    refused: Mapping[int, str]


class Store:
    """One provider's arrivals. Every method may be called from any thread."""

    def __init__(self, provider: Provider, kept_records: int = KEPT_RECORDS) -> None:
        """Keep up to `kept_records` of what this provider accepts and refuses."""
        self._provider = provider
        self._kept_records = kept_records
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything. Calls under way keep their place in the lanes."""
        with self._lock:
            self._counters = Counters()
            self._calls: deque[_Kept] = deque()
            self._records = 0
            self._bytes = 0
            self._times: dict[str, int] = {}
            self._where: dict[str, tuple[_Kept, ...]] = {}

    def open_call(self) -> int:
        """Count a call; return its number."""
        with self._lock:
            self._counters.calls += 1
            return self._counters.calls

    def answered(self, how: str) -> None:
        """Count an answer by its status, or `cut` where none was given."""
        with self._lock:
            self._counters.answers[how] += 1

    def in_flight(self, number: int) -> None:
        """Note how many calls of one lane are under way."""
        with self._lock:
            self._counters.in_flight_peak = max(self._counters.in_flight_peak, number)

    def keep(self, call: int, batch: Batch) -> None:
        """Count a processed batch and keep it, unless it was a dry run."""
        with self._lock:
            if batch.is_dry_run:
                self._counters.dry_runs += 1
                return
            self._counters.events += batch.events
            self._counters.profiles += batch.profiles
            self._counters.refused += len(batch.refused)
            self._counters.refusals.update(batch.refused.values())
            kept = _Kept(call, time.time(), batch.account, batch.body, batch.deliveries, batch.refused or NONE_REFUSED)
            self._calls.append(kept)
            self._records += len(kept.deliveries)
            self._bytes += len(kept.body)
            self._index(kept)
            self._forget_oldest()

    def _index(self, kept: _Kept) -> None:
        """Count the deliveries of a call and remember where they are. The lock is held."""
        times, where = self._times, self._where
        for delivery in kept.deliveries:
            if not delivery:
                continue
            if delivery in times:
                times[delivery] += 1
                self._counters.duplicates += 1
            else:
                times[delivery] = 1
            before = where.get(delivery, ())
            if kept not in before:
                where[delivery] = (*before, kept)
        while len(times) > COUNTED_DELIVERIES:
            del times[next(iter(times))]

    def _forget_oldest(self) -> None:
        """Drop whole calls, the oldest first, until the rest fits; the newest stays. The lock is held."""
        while len(self._calls) > 1 and (self._records > self._kept_records or self._bytes > KEPT_BYTES):
            oldest = self._calls.popleft()
            self._records -= len(oldest.deliveries)
            self._bytes -= len(oldest.body)
            for delivery in set(oldest.deliveries) - {""}:
                rest = tuple(kept for kept in self._where[delivery] if kept is not oldest)
                if rest:
                    self._where[delivery] = rest
                else:
                    del self._where[delivery]

    def times(self, delivery: str) -> int:
        """Return how many times a delivery was accepted."""
        with self._lock:
            return self._times.get(delivery, 0)

    def deliveries(self) -> dict[str, int]:
        """Return every accepted delivery with the number of times."""
        with self._lock:
            return dict(self._times)

    def arrived(self, delivery: str = "") -> Iterator[Arrived]:
        """Yield what is kept, oldest first, refused records too; of one delivery its accepted events alone."""
        with self._lock:
            calls = list(self._where.get(delivery, ()) if delivery else self._calls)
        for kept in calls:
            wanted = [i for i, found in enumerate(kept.deliveries) if found == delivery] if delivery else None
            yield from self._read(kept, wanted)

    def newest(self, limit: int) -> list[Arrived]:
        """Return the newest records, newest first, refused ones too."""
        found: list[Arrived] = []
        with self._lock:
            calls = [self._calls[-i] for i in range(1, min(limit, len(self._calls)) + 1)]
        for kept in calls:
            last = len(kept.deliveries)
            found += self._read(kept, range(last - 1, max(-1, last - 1 - limit + len(found)), -1))
        return found[:limit]

    def _read(self, kept: _Kept, indexes: Iterable[int] | None) -> Iterator[Arrived]:
        """Yield records of a call, read again from its body."""
        records = _records(self._provider, kept.body)
        at = datetime.fromtimestamp(kept.at, UTC)
        for i in range(len(records)) if indexes is None else indexes:
            label = self._provider.describe(records[i])
            about = (label.kind, label.name, label.identity, label.delivery, kept.refused.get(i, ""))
            yield Arrived(self._provider.slug, kept.account, at, kept.call, i + 1, *about, records[i])

    def summary(self) -> dict[str, Any]:
        """Return the counters for JSON."""
        with self._lock:
            counters = {name: getattr(self._counters, name) for name in self._counters.__dataclass_fields__}
            counters |= {"answers": dict(self._counters.answers), "refusals": dict(self._counters.refusals)}
            return counters | {"deliveries": len(self._times), "kept": self._records}


@lru_cache(maxsize=8)
def _records(provider: Provider, body: bytes) -> list[Any]:
    """Return the records of a body; the last few stay parsed, since one is often asked about many times."""
    return provider.records(body)
