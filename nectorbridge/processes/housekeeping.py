"""The part of a worker that talks to the database: its row, and the sweep that rings for what is due.

In a thread, so that a slow or absent database never keeps the supervisor from watching its processes.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connections, transaction
from django.utils import timezone

logger = logging.getLogger(__name__)
REPORT_SECONDS = 3.0
FOLD_SECONDS = 5.0
REMIND_SECONDS = 30.0
FORGET_SECONDS = 3600.0
QUARTERS_SECONDS = 10.0
PURGE_SECONDS = 2.0  # between slices; no slice holds up the sweep for more than a batch beyond its time
PURGE_REST_SECONDS = 900.0  # after all that was old enough is gone
SLICE_SECONDS = 0.5
STALE_AFTER = timedelta(days=1)
REPEAT_SECONDS = 60.0  # the same trouble is logged once in this time
FINISH_SECONDS = 3.0


def in_one_line(error: Exception) -> str:
    """Return what went wrong without a traceback, a secret or a customer's data."""
    if isinstance(error, (OperationalError, InterfaceError)):
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'the database cannot be reached'}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else type(error).__name__


@dataclass
class Chore:
    """Something to be done again and again."""

    what: str
    every: float  # seconds
    do: Callable[[], None]
    due_at: float = 0.0
    failed_at: float | None = None


class Housekeeper(threading.Thread):
    """Keeps one worker's row and sweeps. `restarts` and `restart_reason` are set by the supervisor."""

    def __init__(self, worker_name: str) -> None:
        """Prepare the thread of the worker with this name."""
        super().__init__(name="housekeeping", daemon=True)
        self.worker_name = worker_name
        self.restarts = 0
        self.restart_reason = ""
        self._counted_restarts = 0
        self.is_database_away = False
        self._finished = threading.Event()
        self._is_registered = False
        self._batches: Iterator[tuple[str, int]] | None = None
        self._purge_at = 0.0
        self._chores = [
            Chore("report", REPORT_SECONDS, self._report),
            Chore("sweep", settings.DELIVERY_SWEEP_SECONDS, self._sweep),
            Chore("ring for webhooks that wait", settings.DELIVERY_SWEEP_SECONDS, self._ring_for_webhooks),
            Chore("ring for reminders", REMIND_SECONDS, self._ring_for_reminders),
            Chore("take back expired coins", REMIND_SECONDS, self._expire_coins),
            Chore("look again at who unsubscribed", REMIND_SECONDS, self._look_at_unsubscribed),
            Chore("ring for imports that wait", settings.DELIVERY_SWEEP_SECONDS, self._ring_for_imports),
            Chore("ring for callbacks that wait", settings.DELIVERY_SWEEP_SECONDS, self._ring_for_callbacks),
            Chore("ring for erasures that wait", settings.DELIVERY_SWEEP_SECONDS, self._ring_for_erasures),
            Chore("add up what was counted", FOLD_SECONDS, self._fold),
            Chore("count what came back", FOLD_SECONDS, self._count_engagements),
            Chore("forget stale workers", FORGET_SECONDS, self._forget_stale),
            Chore("fold statistics", QUARTERS_SECONDS, self._fold_statistics),
            Chore("purge", PURGE_SECONDS, self._purge),
        ]

    def run(self) -> None:
        """Do each chore when it is due, until `finish`."""
        while not self._finished.is_set():
            for chore in self._chores:
                if chore.due_at <= time.monotonic() and not self._finished.is_set():
                    self._attempt(chore)
                    chore.due_at = time.monotonic() + chore.every
            self._finished.wait(max(0.0, min(chore.due_at for chore in self._chores) - time.monotonic()))
        self._attempt(Chore("sign off", 0.0, self._sign_off))
        connections.close_all()

    def finish(self) -> None:
        """Sign off and stop; what takes too long is left behind."""
        self._finished.set()
        self.join(FINISH_SECONDS)

    def _attempt(self, chore: Chore) -> None:
        close_old_connections()
        try:
            chore.do()
        except Exception as error:  # a worker's edge: logged, and the loop goes on
            self.is_database_away = isinstance(error, (OperationalError, InterfaceError))
            if chore.failed_at is None or time.monotonic() - chore.failed_at > REPEAT_SECONDS:
                chore.failed_at = time.monotonic()
                logger.warning("Could not %s: %s. Trying again.", chore.what, in_one_line(error))
            close_old_connections()
            return
        self.is_database_away = False
        if chore.failed_at is not None:
            chore.failed_at = None
            logger.warning("Can %s again.", chore.what)

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

    def _ring_for_webhooks(self) -> None:
        from nectorbridge.loyalty.nector import inbox

        inbox.ring_for_due()

    def _ring_for_reminders(self) -> None:
        from nectorbridge.loyalty import reminders

        reminders.ring_for_due()

    def _expire_coins(self) -> None:
        from nectorbridge.loyalty import reminders

        reminders.expire_coins(seconds=SLICE_SECONDS)

    def _look_at_unsubscribed(self) -> None:
        from events import suppression

        suppression.look_again()

    def _ring_for_imports(self) -> None:
        from nectorbridge.loyalty.imports import work

        work.ring_for_due()

    def _ring_for_callbacks(self) -> None:
        from events import callbacks

        callbacks.ring_for_due()

    def _ring_for_erasures(self) -> None:
        from nectorbridge.loyalty.personal import erasing

        erasing.ring_for_due()

    def _fold(self) -> None:
        from events import tallies

        tallies.fold()

    def _count_engagements(self) -> None:
        from events import statistics_engagement

        end = time.monotonic() + SLICE_SECONDS
        while statistics_engagement.count() and time.monotonic() < end and not self._finished.is_set():
            pass

    def _forget_stale(self) -> None:
        from events.models import Worker

        Worker.objects.filter(supervised_at__lt=timezone.now() - STALE_AFTER).delete()

    def _fold_statistics(self) -> None:
        from events import statistics

        end = time.monotonic() + SLICE_SECONDS
        while statistics.fold() and time.monotonic() < end and not self._finished.is_set():
            pass
        statistics.recount()

    def _purge(self) -> None:
        from events import retention

        if time.monotonic() < self._purge_at:
            return
        end = time.monotonic() + SLICE_SECONDS
        batches, self._batches = self._batches or retention.batches(), None  # after an error it begins anew
        while not self._finished.is_set():
            if next(batches, None) is None:
                self._purge_at = time.monotonic() + PURGE_REST_SECONDS
                return
            if time.monotonic() >= end:
                self._batches = batches
                return

    def _sign_off(self) -> None:
        from events.models import Worker

        Worker.objects.filter(name=self.worker_name).delete()
