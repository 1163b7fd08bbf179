"""The part of a worker that talks to the database: its row, and the chores of all apps, above all to ring for what is due.

In a thread, so that a slow or absent database never keeps the supervisor from watching its processes.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import asdict
from datetime import timedelta

from django.conf import settings
from django.db import connections, transaction
from django.utils import timezone

from events.chores import Chore, Rounds, registered

REPORT_SECONDS = 3.0
FORGET_SECONDS = 3600.0
STALE_AFTER = timedelta(days=1)
FINISH_SECONDS = 3.0


class Housekeeper(threading.Thread):
    """Keeps one worker's row and does the chores. `restarts` and `restart_reason` are set by the supervisor."""

    def __init__(self, worker_name: str) -> None:
        """Prepare the thread of the worker with this name."""
        super().__init__(name="housekeeping", daemon=True)
        self.worker_name = worker_name
        self.restarts = 0
        self.restart_reason = ""
        self._counted_restarts = 0
        self._finished = threading.Event()
        self._is_registered = False
        own = [
            Chore("report", REPORT_SECONDS, self._report),
            Chore("sweep", settings.DELIVERY_SWEEP_SECONDS, self._sweep),  # in place of the app's: the worker's row tells of it
            Chore("forget stale workers", FORGET_SECONDS, self._forget_stale),
        ]
        self.rounds = Rounds([*own, *(chore for chore in registered() if chore.what != "sweep")])

    @property
    def is_database_away(self) -> bool:
        """Tell whether the last chore found no database."""
        return self.rounds.is_database_away

    def run(self) -> None:
        """Do each chore when it is due, until `finish`."""
        self.rounds.until(self._finished)
        self.rounds.attempt(Chore("sign off", 0.0, self._sign_off))
        connections.close_all()

    def finish(self) -> None:
        """Sign off and stop; what takes too long is left behind."""
        self._finished.set()
        self.join(FINISH_SECONDS)

    def _report(self) -> None:
        from events.models import Worker

        row = Worker.objects.filter(name=self.worker_name)
        if not self._is_registered:
            row.delete()  # of an earlier process with the same id
        if not row.update(supervised_at=timezone.now(), restarts=self.restarts):
            Worker.objects.create(name=self.worker_name, restarts=self.restarts)
        self._is_registered = True
        if new := self.restarts - self._counted_restarts:
            self._count_restarts(new)

    def _count_restarts(self, new: int) -> None:
        from events import tallies
        from events.models import Worker

        with transaction.atomic():
            row = Worker.objects.filter(name=self.worker_name)
            row.update(restarted_at=timezone.now(), restart_reason=self.restart_reason[:200])
            tallies.add(Counter({(tallies.Kind.RESTART, ""): new}))
        self._counted_restarts += new

    def _sweep(self) -> None:
        from events.models import Worker
        from events.sweep import Swept, sweep_into

        swept = Swept()
        try:
            sweep_into(swept)
        finally:
            Worker.objects.filter(name=self.worker_name).update(swept_at=timezone.now(), sweep=asdict(swept))

    def _forget_stale(self) -> None:
        from events.models import Worker

        Worker.objects.filter(supervised_at__lt=timezone.now() - STALE_AFTER).delete()

    def _sign_off(self) -> None:
        from events.models import Worker

        Worker.objects.filter(name=self.worker_name).delete()
