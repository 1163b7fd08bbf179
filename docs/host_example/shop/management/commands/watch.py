"""`manage.py watch`: what must not depend on anybody remembering, again and again. Run it beside `manage.py qcluster`."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from events import callbacks, retention, statistics, statistics_engagement, suppression, tallies
from events.sweep import sweep

logger = logging.getLogger(__name__)


def purge() -> None:
    """Let go one batch of what is older than the retention settings say."""
    next(retention.batches(), None)


CHORES: list[tuple[float, Callable[[], Any]]] = [  # seconds between two times
    (settings.DELIVERY_SWEEP_SECONDS, sweep),  # rings for what is due, takes back what a dead worker held
    (settings.DELIVERY_SWEEP_SECONDS, callbacks.ring_for_due),
    (5.0, tallies.fold),
    (5.0, statistics_engagement.count),
    (10.0, statistics.fold),
    (10.0, statistics.recount),
    (30.0, suppression.look_again),
    (60.0, purge),
]


class Command(BaseCommand):
    """Does the chores until told to stop. Several at once do no harm."""

    help = "Rings for what is due and adds up what was counted. SIGTERM or Ctrl-C stops it."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do each chore when it is due."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        due = [0.0] * len(CHORES)
        while not stop.wait(0.2):
            for i, (seconds, chore) in enumerate(CHORES):
                if due[i] <= time.monotonic():
                    due[i] = time.monotonic() + seconds
                    self._attempt(chore)

    def _attempt(self, chore: Callable[[], Any]) -> None:
        """Do it. A database that is away is no reason to end."""
        close_old_connections()
        try:
            chore()
        except Exception as error:  # a worker's edge: noted, and the loop goes on
            logger.warning("Could not %s (%s). Trying again.", chore.__name__, type(error).__name__)
