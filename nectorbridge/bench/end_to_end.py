"""Saving and delivering at once: one process credits wallets while a real worker drains, next to the saves alone.

The saves are what a shop waits for. What the outbox takes from them (the database's write lock, its share of the machine) and
whether the worker keeps up with them is the difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.drain import LATENCY_SECONDS, Ours
from nectorbridge.bench.measure import Bar, Comparison, compare
from nectorbridge.bench.running import sandbox, wait_for, worker
from nectorbridge.loyalty import services

NAME = "end-to-end"
BAR = Bar(0.8, at_most=False)
SECONDS, QUICK_SECONDS = 5.0, 0.2  # of saving, per figure
CUSTOMERS = 1000
LONGEST_SECONDS = 60.0


class Shop:
    """Credits customers in turn, for a while."""

    def __init__(self, drained: Ours, seconds: float, note: Callable[[str], None]) -> None:
        """Save for so many seconds per figure, for customers whom the provider knows."""
        self.drained, self.note = drained, note
        self.place = drained.place
        self.seconds = seconds
        self._customers = cycle(self.place.customers)

    def saves_alone(self) -> float:
        """Return the saves per second while nobody drains: the bell counts as rung, and no worker runs."""
        self.place.silence_bell()
        began = time.perf_counter()
        saved = self._save_until(began + self.seconds)
        spent = time.perf_counter() - began
        self.drained.drain()
        return saved / spent

    def end_to_end(self) -> float:
        """Return the events per second from the first save until the last one is known to be at the provider."""
        with worker():
            self.place.free_bell()
            began = time.perf_counter()
            saved = self._save_until(began + self.seconds)
            saving = time.perf_counter() - began
            wait_for(lambda: self.place.is_done(), LONGEST_SECONDS, "the last event to be sent")
            spent = time.perf_counter() - began
            self.note(f"{saved} saved in {saving:.1f} s, the last one sent {spent - saving:.1f} s later")
            return saved / spent

    def _save_until(self, end: float) -> int:
        """Credit one customer after the other; return how many."""
        saved = 0
        while time.perf_counter() < end:
            services.credit(next(self._customers), 10, "Welcome")
            saved += 1
        return saved


def run(options: Options) -> dict[str, Any]:
    """Measure; events per second."""
    with sandbox(LATENCY_SECONDS) as client:
        drained = Ours(options, deliveries=CUSTOMERS)
        shop = Shop(drained, QUICK_SECONDS if options.is_quick else SECONDS, options.note)
        shop.saves_alone()
        what = f"{shop.seconds:g} s of credits, saved by one process and sent by a worker meanwhile / the saves alone"
        comparison = Comparison(NAME, what, "events/s", BAR)
        compare(comparison, shop.saves_alone, shop.end_to_end, options.pairs, options.note)
        comparison.extra = {"calls": client.summary()["calls"]}
        return comparison.as_dict()
