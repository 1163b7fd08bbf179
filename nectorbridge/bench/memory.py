"""The memory of a process that drains: flat, however many deliveries went through it."""

from __future__ import annotations

import gc
from typing import Any

from events.memory import resident
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.drain import Ours
from nectorbridge.bench.running import sandbox

NAME = "memory"
DELIVERIES, QUICK_DELIVERIES = 1_000_000, 20_000
STEP = 5000
ROWS = 10
WARM = 5  # steps after which everything is loaded that will be
GROWTH_MAX = 16.0  # megabytes


def run(options: Options) -> dict[str, Any]:
    """Queue and drain in turn, in this process; look at its memory after each step."""
    total = options.size(DELIVERIES, QUICK_DELIVERIES)
    with sandbox() as client:
        ours = Ours(options)
        ours.count = min(STEP, total // ROWS)
        seen: list[tuple[int, float]] = []
        for number in range(total // ours.count):
            ours.rate()
            client.reset()
            gc.collect()
            seen.append(((number + 1) * ours.count, resident()))
            if number % 20 == 19:
                options.note(f"{NAME}: {seen[-1][0]:,}: {seen[-1][1]:.0f} MB")
    warm = seen[min(WARM, len(seen) - 1) :]
    growth = max(megabytes for _done, megabytes in warm) - warm[0][1]
    every = max(1, len(seen) // ROWS)
    shown = [*seen[every - 1 :: every]]
    return {
        "name": NAME,
        "what": f"resident memory while {total:,} deliveries are recorded and drained; growth {growth:.1f} MB once warm",
        "columns": ["deliveries", "megabytes"],
        "rows": [[f"{done:,}", megabytes] for done, megabytes in shown],
        "bar": f"growth <= {GROWTH_MAX:g} MB",
        "verdict": "met" if growth <= GROWTH_MAX else "missed",
        "growth": growth,
    }
