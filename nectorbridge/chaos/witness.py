"""The provider's side of the story: a sandbox that writes down each call with its times, and which events it took."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from nectorbridge.chaos.world import NUMBER
from nectorbridge.sandbox.contract import Provider, Reply, Request
from nectorbridge.sandbox.faults import Plan
from nectorbridge.sandbox.sandbox import Sandbox

DELIVERY = re.compile(rb'"nector_delivery_id"\s*:\s*"([0-9a-f-]{36})"')
NUMBERS = re.compile(rb'"%s"\s*:\s*"?(\d+)' % NUMBER.encode())


@dataclass(frozen=True, slots=True)
class Seen:
    """One call with events. Times are epoch seconds; `taken` are the accepted deliveries in their order."""

    provider: str
    began: float
    taken_at: float
    ended: float
    carried: tuple[str, ...]
    taken: tuple[str, ...]
    numbers: tuple[str, ...]  # of the activities it carried, as far as they can be told


class Witness(Sandbox):
    """A sandbox with a diary of its own: `seen`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Listen with an empty diary."""
        self.seen: deque[Seen] = deque()
        self._call_of = threading.local()
        super().__init__(*args, **kwargs)

    def _call(self, provider: Provider, request: Request) -> Reply:
        """Answer as always, and write it down."""
        began, self._call_of.taken, self._call_of.at = time.time(), (), 0.0
        reply = super()._call(provider, request)
        carried = tuple(found.decode() for found in DELIVERY.findall(request.body))
        if carried:
            numbers = tuple(found.decode() for found in NUMBERS.findall(request.body))
            taken, at = self._call_of.taken, self._call_of.at
            self.seen.append(Seen(provider.slug, began, at, time.time(), carried, taken, numbers))
        return reply

    def _contract(self, provider: Provider, request: Request, plan: Plan, is_admitted: bool) -> Reply:
        """Answer as always, and remember what was taken, and when."""
        reply = super()._contract(provider, request, plan, is_admitted)
        if reply.batch is not None and not reply.batch.is_dry_run:
            self._call_of.taken = tuple(delivery for delivery in reply.batch.deliveries if delivery)
            self._call_of.at = time.time()
        return reply
