"""The process that records: `nectorbridge.chaos.recording EVENTS SEED SECONDS`. It may be killed and started again at any moment.

Each batch is one transaction. Now and then one is rolled back at its end: nothing of it may ever reach a provider. How far it
came stands in a file; what was committed but not noted there is recorded once more, which adds nothing.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BATCH = (1, 60)
GHOSTS = 0.05  # share of the transactions that are rolled back
AWAY_SECONDS = 0.3
PROGRESS, GHOST_KEY = "recorded", "ghost"


class RolledBack(Exception):
    """The caller's transaction failed after the recording."""


def progress(folder: Path) -> int:
    """Return how many activities are recorded for certain."""
    file = folder / PROGRESS
    return int(file.read_text() or 0) if file.exists() else 0


def note(folder: Path, number: int) -> None:
    """Write down how far it came, whole or not at all."""
    fresh = folder / f"{PROGRESS}.new"
    fresh.write_text(str(number))
    fresh.replace(folder / PROGRESS)


def batches(events: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last number of each transaction, always the same for one seed."""
    chance, first = random.Random(f"batches:{seed}"), 0  # noqa: S311
    while first < events:
        last = min(events, first + chance.randint(*BATCH))
        yield first, last
        first = last


def main(events: str, seed: str, seconds: str) -> None:
    """Record all activities, spread over about that many seconds."""
    import django

    django.setup()
    from django.conf import settings
    from django.db import DatabaseError, InterfaceError, close_old_connections

    from nectorbridge.chaos import world

    total, folder, began = int(events), Path(settings.DATA_DIR), time.monotonic()
    place, start = None, progress(folder)
    for first, last in batches(total, int(seed)):
        while last > start:
            try:
                place = place or world.load(total, int(seed))
                record(place, first, last)
                note(folder, last)
                break
            except (DatabaseError, InterfaceError):  # the database is away: the same transaction once more
                time.sleep(AWAY_SECONDS)
                close_old_connections()
        if last > start:
            ahead = (last - start) / max(1, total) * float(seconds) - (time.monotonic() - began)
            time.sleep(max(0.0, ahead))


def record(place: object, first: int, last: int) -> None:
    """Record one batch; before it, sometimes, a transaction that comes to nothing."""
    from django.db import transaction

    from events import record_many
    from nectorbridge.chaos.world import World

    assert isinstance(place, World)
    if random.Random(f"ghost:{place.seed}:{first}").random() < GHOSTS:  # noqa: S311
        try:
            with transaction.atomic():
                record_many(place.activity(number, GHOST_KEY) for number in range(first, last))
                raise RolledBack
        except RolledBack:
            pass
    with transaction.atomic():
        record_many(place.activity(number) for number in range(first, last))


if __name__ == "__main__":
    main(*sys.argv[1:])
