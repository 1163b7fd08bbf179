"""Ending a cluster without leaving a call behind: its task processes hear of it at once, and hang up before they are killed.

A pipe tells them: it becomes readable and nobody reads it, so that any number of processes sees it, also one that is started
afterwards, and no lock can be lost with one that was killed.
"""

from __future__ import annotations

import os
import select
import threading
import time
from multiprocessing import RawValue
from typing import Any

from django_q.cluster import Cluster

from events import closing
from integrations import http

WRITE_SECONDS = 2.0  # to write down what came of the calls
WRITE_SHARE = 3  # of a short grace a third


def patience(grace: float) -> float:
    """Return how many seconds calls under way may go on when everything is killed after `grace` seconds."""
    return grace - min(WRITE_SECONDS, grace / WRITE_SHARE)


class ClosingBell:
    """Made before the cluster forks; rung by its main process, heard by its task processes."""

    def __init__(self) -> None:
        """Open the pipe."""
        self._heard, self._rung = os.pipe()
        self._patience = RawValue("d", 0.0)

    def ring(self, grace: float) -> None:
        """Say that everything ends within that many seconds."""
        self._patience.value = patience(grace)
        os.write(self._rung, b"!")

    def listen(self) -> None:
        """Wait for it in the background of a task process."""
        threading.Thread(target=self._close, name="closing", daemon=True).start()

    def _close(self) -> None:
        """Let no call leave any more; end those that take too long."""
        select.select([self._heard], [], [])
        closing.begin()
        time.sleep(self._patience.value)
        http.hang_up()


class ClosingCluster(Cluster):
    """django-q2's cluster, which tells its task processes that it ends. SIGTERM: told to stop; SIGINT: to be replaced."""

    def __init__(self, broker: Any, bell: ClosingBell, graces: dict[int, float]) -> None:
        """Take the broker, and how many seconds each signal leaves."""
        self.bell, self.graces = bell, graces
        super().__init__(broker=broker)

    def sig_handler(self, signum: int, frame: Any) -> None:
        """Ring, then stop as django-q2 does."""
        self.bell.ring(self.graces[signum])
        super().sig_handler(signum, frame)
