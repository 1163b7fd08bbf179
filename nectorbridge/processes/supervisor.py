"""Keeps one task cluster working: starts it, notices when it hangs or dies, and starts it again.

A killed idle worker of django-q2 takes the queue's lock along and the cluster hangs for good; a killed monitor leaves every
result unacknowledged; a killed sentinel leaves orphans. All three end here in a fresh cluster.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time

import environ
from django.conf import settings

from nectorbridge.processes.backoff import Backoff
from nectorbridge.processes.children import Child, end_all
from nectorbridge.processes.housekeeping import Housekeeper
from nectorbridge.processes.pulse import PulseReader
from nectorbridge.processes.stopping import StopRequests
from nectorbridge.processes.watch import Watch

logger = logging.getLogger(__name__)
STALL_SECONDS = 10.0  # or WORKER_STALL_SECONDS
BOOT_SECONDS = 30.0
RESTART_GRACE_SECONDS = 5.0
CANARY_SECONDS = 2.0
CANARIES_PER_STALL = 4
TASK_SLACK_SECONDS = 15.0  # beyond its own timeout django-q2 takes a few seconds to end a task
TICK_SECONDS = 0.25
CLUSTER_MODULE = "nectorbridge.processes.cluster"


def worker_name() -> str:
    """Return the name under which this process supervises a cluster."""
    return f"{socket.gethostname()[:80]}:{os.getpid()}"


class Supervisor:
    """One worker: a cluster in a child process, and the housekeeping thread."""

    def __init__(self, grace: float, requests: StopRequests) -> None:
        """Prepare; `grace` is how many seconds running tasks get when the worker is told to stop."""
        self.grace = grace
        self.requests = requests
        self.name = worker_name()
        self.stall = environ.Env().float("WORKER_STALL_SECONDS", default=STALL_SECONDS)
        limit = settings.Q_CLUSTER["timeout"] + TASK_SLACK_SECONDS
        self.watch = Watch(self.stall, max(BOOT_SECONDS, self.stall), settings.WORKER_PROCESSES, limit)
        self.housekeeper = Housekeeper(self.name)
        self.backoff = Backoff()
        self.child: Child | None = None
        self.pulses: PulseReader | None = None
        self.start_at = 0.0

    def run(self) -> None:
        """Watch until told to stop, then end everything."""
        self.housekeeper.start()
        while not self.requests.is_wanted:
            if self.child and self.pulses:
                self._look(self.child, self.pulses)
            elif time.monotonic() >= self.start_at:
                self._start()
            else:
                time.sleep(TICK_SECONDS)
        logger.info("Stopping the task cluster.")
        self._end(self.grace)
        self.housekeeper.finish()

    def _start(self) -> None:
        self.pulses = PulseReader()
        every = min(CANARY_SECONDS, self.stall / CANARIES_PER_STALL)
        writing_end = self.pulses.writing_end
        graces = [str(self.grace), str(RESTART_GRACE_SECONDS)]
        self.child = Child([CLUSTER_MODULE, self.name, str(writing_end), str(every), *graces], pass_fds=[writing_end])
        self.pulses.close_writing_end()
        self.watch.begin(time.monotonic())
        logger.info("Task cluster started, process %d.", self.child.process.pid)

    def _look(self, child: Child, pulses: PulseReader) -> None:
        for sign, pid in pulses.wait(TICK_SECONDS):
            self.watch.saw(sign, pid, time.monotonic())
        now = time.monotonic()
        if child.exit_code is not None:
            self._restart(child, f"ended by itself with exit code {child.exit_code}")
        elif self.housekeeper.is_database_away:
            self.watch.begin(now)  # nothing can work; no reason to think that the cluster is at fault
        elif complaint := self.watch.complaint(now):
            self._restart(child, complaint)
        elif pulses.is_closed_by_writers:
            time.sleep(TICK_SECONDS)

    def _restart(self, child: Child, reason: str) -> None:
        wait = self.backoff.wait_after(child.uptime)
        self.housekeeper.restart_reason = reason
        self.housekeeper.restarts += 1
        logger.warning("The task cluster %s; restart %d in %g s.", reason, self.housekeeper.restarts, wait)
        self._end(RESTART_GRACE_SECONDS, signal.SIGINT)
        self.start_at = time.monotonic() + wait

    def _end(self, grace: float, number: int = signal.SIGTERM) -> None:
        if self.child:
            end_all([self.child], grace, lambda: self.requests.is_urgent, number)
        if self.pulses:
            self.pulses.close()
        self.child = self.pulses = None
