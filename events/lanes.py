"""One customer's claimed deliveries in a stream: sent one after the other, after the contact where that must come first."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from events.claims import Claimed
from integrations.providers.base import Profile


@dataclass
class Lane:
    """A customer's way to the provider. `news` is a profile that the provider may not have taken yet."""

    ref: str
    remote_id: str = ""
    news: Profile | None = None
    waiting: deque[Claimed] = field(default_factory=deque)
    is_busy: bool = False  # a call of this customer is under way


def lanes_of(claimed: Sequence[Claimed], ids: Mapping[str, str], profiles: Mapping[str, Profile]) -> list[Lane]:
    """Return the lanes of claimed deliveries. `ids` are the stored ids at a provider that has such."""
    lanes: dict[str, Lane] = {}
    for row in claimed:
        ref = row.customer_ref
        if ref not in lanes:
            news, remote_id = profiles.get(ref), ids.get(ref, "")
            lanes[ref] = Lane(ref, remote_id, replace(news, remote_id=remote_id or news.remote_id) if news else None)
        lanes[ref].waiting.append(row)
    return list(lanes.values())


class Lanes:
    """The lanes of all customers of a stream."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lanes: dict[str, Lane] = {}

    def __getitem__(self, ref: str) -> Lane:
        """Return the lane of a customer."""
        return self._lanes[ref]

    def add(self, lanes: Iterable[Lane]) -> None:
        """Open lanes. None of these customers has one: a claim leaves out who is busy."""
        self._lanes |= {lane.ref: lane for lane in lanes}

    def waiting(self) -> int:
        """Return how many customers have something to send and nothing under way."""
        return sum(1 for lane in self._lanes.values() if lane.waiting and not lane.is_busy)

    def ready(self, limit: int) -> list[Lane]:
        """Return at most so many of those, oldest first."""
        return list(islice((lane for lane in self._lanes.values() if lane.waiting and not lane.is_busy), limit))

    def depart(self, refs: Iterable[str], delivery_ids: Collection[str]) -> int:
        """Note that a call of these customers is under way. Returns how many deliveries are in it."""
        for ref in refs:
            lane = self._lanes[ref]
            lane.is_busy = True
            lane.waiting = deque(row for row in lane.waiting if row.id not in delivery_ids)
        return len(delivery_ids)

    def arrive(self, refs: Iterable[str], in_time: bool) -> None:
        """Note that a call was taken, with the profiles in it. One that came after its lease counts for nothing."""
        for ref in refs:
            lane = self._lanes.get(ref)
            if lane is not None:
                lane.is_busy = False
                lane.news = None if in_time else lane.news
                if not lane.waiting:
                    del self._lanes[ref]

    def close(self, refs: Iterable[str]) -> dict[str, list[str]]:
        """Close lanes. Returns the deliveries that still wait, by customer."""
        closed = (self._lanes.pop(ref, None) for ref in refs)
        return {lane.ref: [row.id for row in lane.waiting] for lane in closed if lane is not None}

    def strike(self, delivery_ids: Collection[str]) -> None:
        """Take out deliveries of which nothing more will become."""
        if delivery_ids:
            for lane in list(self._lanes.values()):
                lane.waiting = deque(row for row in lane.waiting if row.id not in delivery_ids)
                if not lane.waiting and not lane.is_busy:
                    del self._lanes[lane.ref]
