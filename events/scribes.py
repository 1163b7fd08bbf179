"""Writing answers down beside the sender, so that it packs and commits the next calls meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

from django.db import connection
from django.utils import timezone

from events.flights import Landing, note_end
from events.results import settle
from integrations.providers.base import Outcome, Reading

SCRIBES = 2  # each writes down a call of a wave while the next ones are packed


class Scribes:
    """Threads with connections of their own, which write answers down beside the sender's; they begin with the first answer.

    Not on SQLite, where one writes at a time, and not within a transaction, since nobody else sees what it has written.
    """

    def __init__(self) -> None:
        """Begin nothing yet."""
        self.threads: ThreadPoolExecutor | None = None
        self.has_written = False

    def write(self, landing: Landing, reading: Reading) -> Future[bool] | None:
        """Have a plain yes written down; None where the sender must do it."""
        is_plain = reading.verdict.outcome is Outcome.ACCEPTED and not (reading.deliveries or reading.refused)
        if self.threads is None or not is_plain:
            return None
        self.has_written = True
        return self.threads.submit(settle, note_end(landing), reading, timezone.now())

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have them write as long as this lasts, and close their connections in the end."""
        if connection.vendor != "postgresql" or connection.in_atomic_block:
            yield
            return
        self.has_written = False
        with ThreadPoolExecutor(SCRIBES, "scribe") as self.threads:
            try:
                yield
            finally:
                gate = Barrier(SCRIBES)
                for _ in range(SCRIBES if self.has_written else 0):
                    self.threads.submit(_sign_off, gate)
                self.threads = None


def _sign_off(gate: Barrier) -> None:
    """Close this thread's connection, once every thread is here: so each closes its own."""
    gate.wait()
    connection.close()
