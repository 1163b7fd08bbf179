"""The audit: what was recorded, what our books say, and what the providers saw must agree. Pure: data in, counts out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from nectorbridge.chaos.witness import Seen

FINAL = frozenset(["sent", "failed", "skipped", "cancelled"])


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery as the books have it at the end. `key` is its idempotency key; ids grow in recorded order."""

    id: str
    provider: str
    customer: str
    key: str
    status: str
    reason: str
    attempts: int  # as counted on the row


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt as the books have it. `written_at` is epoch seconds: when its call was ended."""

    delivery: str
    call: int
    outcome: str
    written_at: float


@dataclass
class Books:
    """All that our side wrote down."""

    rows: Sequence[Row]
    tries: Sequence[Try]
    open_calls: int = 0


@dataclass
class Counts:
    """One provider's line. What stands under "must be zero" is a violation."""

    recorded: int = 0
    sent: int = 0
    uncertain: int = 0  # tries of which nobody knows whether they arrived
    duplicates: int = 0
    given_up: int = 0  # failed, for whatever reason
    # Must be zero:
    lost: int = 0  # sent by our books, but no provider has it; or there is no row for what was recorded
    stuck: int = 0
    unannounced: int = 0  # duplicates that were not recorded as uncertain beforehand
    ghosts: int = 0  # arrived although their transaction was rolled back, or under a second id
    disorder: int = 0  # a customer's events in another order than recorded
    overlaps: int = 0  # a customer in two calls at once
    unbooked: int = 0  # calls without a try in the books


VIOLATIONS = ("lost", "stuck", "unannounced", "ghosts", "disorder", "overlaps", "unbooked")
COLUMNS = tuple(column.name for column in fields(Counts))


@dataclass
class Audit:
    """The result, by provider."""

    counts: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # a few ids per violation

    def note(self, provider: str, name: str, example: str, count: int = 1) -> None:
        """Count something at a provider."""
        counts = self.counts[provider]
        setattr(counts, name, getattr(counts, name) + count)
        if name in VIOLATIONS and len(self.examples[name]) < 5:
            self.examples[name].append(example)

    @property
    def violations(self) -> int:
        """Return how many things must not have happened."""
        return sum(getattr(counts, name) for counts in self.counts.values() for name in VIOLATIONS)

    def total(self) -> Counts:
        """Return the sum over all providers."""
        sums = {name: sum(getattr(counts, name) for counts in self.counts.values()) for name in COLUMNS}
        return Counts(**sums)


def audit(expected: Mapping[str, str], books: Books, seen: Iterable[Seen], timeout: float) -> Audit:
    """Compare. `expected` maps the key of each recorded activity to its provider; `timeout` is a call's longest time."""
    found, seen = Audit(), list(seen)
    rows = {row.id: row for row in books.rows}
    tries: dict[str, list[Try]] = defaultdict(list)
    for one in books.tries:
        tries[one.delivery].append(one)
    arrivals = _arrivals(seen)
    _states(found, expected, books, tries, arrivals)
    _duplicates(found, rows, tries, arrivals)
    _strangers(found, rows, seen)
    _order(found, books.rows, tries, arrivals)
    _overlaps(found, rows, seen, timeout)
    if books.open_calls:
        found.note("", "stuck", "calls without an end", books.open_calls)
    return found


def _arrivals(seen: Iterable[Seen]) -> dict[str, list[tuple[float, int, int]]]:
    """Return when each delivery was taken: (time, call, place in the call), in that order."""
    arrivals: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    for call, one in enumerate(seen):
        for place, delivery in enumerate(one.taken):
            arrivals[delivery].append((one.taken_at, call, place))
    return {delivery: sorted(times) for delivery, times in arrivals.items()}


def _states(
    found: Audit,
    expected: Mapping[str, str],
    books: Books,
    tries: Mapping[str, Sequence[Try]],
    arrivals: Mapping[str, Sequence[object]],
) -> None:
    """Count states; find what is lost, what is stuck, and calls of which the books say nothing."""
    for key in set(expected) - {row.key for row in books.rows}:
        found.note(expected[key], "lost", key)
    for row in books.rows:
        found.note(row.provider, "recorded", row.id)
        found.note(row.provider, "uncertain", row.id, sum(one.outcome == "uncertain" for one in tries.get(row.id, ())))
        if row.status not in FINAL:
            found.note(row.provider, "stuck", f"{row.id} {row.status}")
        elif row.status == "sent":
            found.note(row.provider, "sent", row.id)
            if row.id not in arrivals:
                found.note(row.provider, "lost", row.id)
        else:
            found.note(row.provider, "given_up", f"{row.id} {row.reason}")
        accepted = sum(one.outcome == "accepted" for one in tries.get(row.id, ()))
        if len(tries.get(row.id, ())) != row.attempts or accepted != (row.status == "sent"):
            found.note(row.provider, "unbooked", row.id)


def _duplicates(
    found: Audit,
    rows: Mapping[str, Row],
    tries: Mapping[str, Sequence[Try]],
    arrivals: Mapping[str, Sequence[tuple[float, int, int]]],
) -> None:
    """Every arrival but the first must have been preceded by as many uncertain tries, written down before it."""
    for delivery, times in arrivals.items():
        if delivery not in rows:
            continue
        provider = rows[delivery].provider
        announced = sorted(one.written_at for one in tries.get(delivery, ()) if one.outcome == "uncertain")
        for repeat, (at, _call, _place) in enumerate(times[1:], start=1):
            found.note(provider, "duplicates", delivery)
            if sum(moment <= at for moment in announced) < repeat:
                found.note(provider, "unannounced", delivery)


def _strangers(found: Audit, rows: Mapping[str, Row], seen: Iterable[Seen]) -> None:
    """Nothing may arrive that has no row, and no activity under two ids."""
    ids: dict[str, set[str]] = defaultdict(set)
    for one in seen:
        for delivery in one.carried:
            if delivery not in rows:
                found.note(one.provider, "ghosts", delivery)
        if len(one.numbers) == len(one.carried):
            for number, delivery in zip(one.numbers, one.carried, strict=True):
                ids[number].add(delivery)
                if len(ids[number]) > 1:
                    found.note(one.provider, "ghosts", f"activity {number}")


def _order(
    found: Audit,
    rows: Iterable[Row],
    tries: Mapping[str, Sequence[Try]],
    arrivals: Mapping[str, Sequence[tuple[float, int, int]]],
) -> None:
    """Each customer's events must have arrived first in the order in which they were recorded.

    Not ordered, by design: the rest of a call of which one record must be retried.
    """
    latest: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: row.id):
        if row.id not in arrivals:
            continue
        earlier = latest.get((row.provider, row.customer))
        if earlier is not None and arrivals[row.id][0] < arrivals[earlier.id][0]:
            if {one.call for one in tries.get(row.id, ())}.isdisjoint(one.call for one in tries.get(earlier.id, ())):
                found.note(row.provider, "disorder", f"{earlier.id} after {row.id}")
            continue
        latest[(row.provider, row.customer)] = row


def _overlaps(found: Audit, rows: Mapping[str, Row], seen: Iterable[Seen], timeout: float) -> None:
    """No customer may have been in two calls at once. Nobody waits for a call longer than `timeout`."""
    until: Counter[tuple[str, str]] = Counter()
    for one in sorted(seen, key=lambda one: one.began):
        people = {(one.provider, rows[delivery].customer) for delivery in one.carried if delivery in rows}
        for person in people:
            if one.began < until[person]:
                found.note(one.provider, "overlaps", f"{person[1]} at {one.began:.3f}")
            until[person] = max(until[person], min(one.ended, one.began + timeout))  # type: ignore[assignment]
