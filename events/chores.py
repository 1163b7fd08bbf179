"""What must be done again and again, whatever happens: apps say what, and whoever runs beside the task cluster does it.

An app registers its chores when it is loaded; `manage.py worker` does all of them, and so does a host's own command, with
`Rounds(registered()).until(stopped)`. Several at once, on many machines, do no harm.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)
REPEAT_SECONDS = 60.0  # the same trouble is logged once in this time
SLICE_SECONDS = 0.5  # no chore holds up the sweep for more than a batch beyond its time
PURGE_REST_SECONDS = 900.0  # after all that was old enough is gone
_REGISTERED: dict[str, tuple[float, str]] = {}


@dataclass
class Chore:
    """Something to be done again and again."""

    what: str
    every: float  # seconds
    do: Callable[[], Any]
    due_at: float = 0.0
    failed_at: float | None = None


def register(what: str, every: float, path: str) -> None:
    """Have something done every so many seconds. `path` names a function, or a class of which each round has one to call.

    `what` completes “Could not ...” in the log; registered under the same words again, it replaces the former.
    """
    _REGISTERED[what] = (every, path)


def registered() -> list[Chore]:
    """Return the chores of all apps that are installed, none of them done yet."""
    return [Chore(what, every, _Named(path)) for what, (every, path) in _REGISTERED.items()]


def register_own() -> None:
    """Register what this app needs."""
    sweep = settings.DELIVERY_SWEEP_SECONDS
    register("sweep", sweep, "events.sweep.sweep")
    register("ring for callbacks that wait", sweep, "events.callbacks.ring_for_due")
    register("look again at who unsubscribed", 30.0, "events.suppression.look_again")
    register("add up what was counted", 5.0, "events.tallies.fold")
    register("count what came back", 5.0, "events.chores.count_engagements")
    register("fold statistics", 10.0, "events.chores.fold_statistics")
    register("purge", 2.0, "events.chores.Purging")


class _Named:
    """Does what a path names, looked up when it is first needed: nothing is imported before the apps are loaded."""

    def __init__(self, path: str) -> None:
        """Keep the path."""
        self._path = path
        self._made: Any = None

    def __call__(self) -> Any:
        """Do it."""
        found = import_string(self._path)
        if isinstance(found, type):
            found = self._made = self._made or found()
        return found()


class Rounds:
    """Does chores, each when it is due. What fails is logged, once a minute, and tried again when it is due."""

    def __init__(self, chores: Iterable[Chore]) -> None:
        """Take the chores."""
        self.chores = list(chores)
        self.is_database_away = False

    def until(self, stopped: threading.Event) -> None:
        """Go on until the event is set."""
        while not stopped.is_set():
            for chore in self.chores:
                if chore.due_at <= time.monotonic() and not stopped.is_set():
                    self.attempt(chore)
                    chore.due_at = time.monotonic() + chore.every
            stopped.wait(max(0.0, min(chore.due_at for chore in self.chores) - time.monotonic()))

    def attempt(self, chore: Chore) -> None:
        """Do one now. A database that is away is no reason to end."""
        close_old_connections()
        try:
            chore.do()
        except Exception as error:  # a worker's edge: logged, and the round goes on
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


def in_one_line(error: Exception) -> str:
    """Return what went wrong without a traceback, a secret or a customer's data."""
    if isinstance(error, (OperationalError, InterfaceError)):
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'the database cannot be reached'}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else type(error).__name__


# --- This app's own, where a function is not enough ------------------------------------------------------------------------
def count_engagements() -> None:
    """Count what came back, for a slice of time."""
    from events import statistics_engagement

    end = time.monotonic() + SLICE_SECONDS
    while statistics_engagement.count() and time.monotonic() < end:
        pass


def fold_statistics() -> None:
    """Fold quarters that have settled, for a slice of time, and count anew what was noted."""
    from events import statistics

    end = time.monotonic() + SLICE_SECONDS
    while statistics.fold() and time.monotonic() < end:
        pass
    statistics.recount()


class Purging:
    """Lets go of what is older than the retention settings say, a slice at a time, and rests once all of it is gone."""

    def __init__(self) -> None:
        """Begin."""
        self._batches: Iterator[tuple[str, int]] | None = None
        self._rests_until = 0.0

    def __call__(self) -> None:
        """Go on for a slice of time."""
        from events import retention

        if time.monotonic() < self._rests_until:
            return
        end = time.monotonic() + SLICE_SECONDS
        batches, self._batches = self._batches or retention.batches(), None  # after an error it begins anew
        while next(batches, None) is not None:
            if time.monotonic() >= end:
                self._batches = batches
                return
        self._rests_until = time.monotonic() + PURGE_REST_SECONDS
