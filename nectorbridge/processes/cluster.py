"""The task cluster itself: django-q2's, with a canary that it feeds to itself and signs of life to its supervisor.

The canary goes through everything that a task goes through (pusher, task queue, worker, result queue, monitor), and through
this cluster only: in a queue shared by several clusters a healthy neighbour would run it, and a hung one would go unnoticed.
Nor do canaries pile up anywhere while a cluster is down.

Started by the supervisor as `nectorbridge.processes.cluster WORKER_NAME PULSE_FD CANARY_SECONDS GRACE RESTART_GRACE`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from typing import Any

from nectorbridge.processes.pulse import PulseWriter, Sign

logger = logging.getLogger("nectorbridge.processes.cluster")  # it runs as __main__
CANARY_TASK = "events.tasks.canary"
CANARY_ACK = "canary"
AWAY_SECONDS = 1.0
REPEAT_SECONDS = 60.0  # the same trouble is logged once in this time


class Parcel:
    """Stands in for a broker, to have django-q2 pack a task without putting it into a queue."""

    list_key = CANARY_ACK
    package = ""

    def enqueue(self, package: str) -> None:
        """Keep the signed package."""
        self.package = package


class CanaryBroker:
    """The configured broker, which also hands out a canary every few seconds. All else is left to the configured one."""

    def __init__(self, broker: Any, worker_name: str, canary_seconds: float, pulse: PulseWriter) -> None:
        """Wrap `broker`, a `django_q.brokers.Broker`."""
        self.broker = broker
        self.worker_name = worker_name
        self.canary_seconds = canary_seconds
        self.pulse = pulse
        self.next_canary_at = 0.0
        self.next_warning_at = 0.0

    def __getattr__(self, name: str) -> Any:
        """Return what the configured broker has."""
        return getattr(self.broker, name)

    def ping(self) -> bool:
        """Let the cluster start without its queue, too: the pusher keeps trying."""
        return True

    def dequeue(self) -> list[tuple[Any, str]]:
        """Return what is due, as (acknowledgement id, package), and a canary if it is time for one.

        django-q2's pusher would end at the first error, and be replaced after 10 seconds.
        """
        try:
            tasks: list[tuple[Any, str]] = list(self.broker.dequeue() or [])
        except Exception as error:  # a worker's edge: any error of any broker means that it is away
            self._note_absence(error)
            time.sleep(AWAY_SECONDS)
            return []
        if time.monotonic() >= self.next_canary_at:
            self.next_canary_at = time.monotonic() + self.canary_seconds
            tasks.append((CANARY_ACK, self._canary()))
        return tasks

    def acknowledge(self, task_id: Any) -> None:
        """Acknowledge a task, and tell the supervisor that results still arrive. What cannot be acknowledged comes again."""
        if task_id != CANARY_ACK:
            try:
                self.broker.acknowledge(task_id)
            except Exception as error:  # as above; it would end the monitor
                self._note_absence(error)
        self.pulse.send(Sign.ACKNOWLEDGED)

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Publish the cluster's statistics, as often as twice a second, and be silent if there is nowhere to."""
        with contextlib.suppress(Exception):
            self.broker.set_stat(key, value, timeout)

    def fail(self, task_id: Any) -> None:
        """Give up a task that cannot be unpacked."""
        if task_id != CANARY_ACK:
            self.broker.fail(task_id)

    def _note_absence(self, error: Exception) -> None:
        self.pulse.send(Sign.QUEUE_AWAY)
        if time.monotonic() >= self.next_warning_at:
            self.next_warning_at = time.monotonic() + REPEAT_SECONDS
            logger.warning("The task queue cannot be reached (%s). Trying again.", type(error).__name__)

    def _canary(self) -> str:
        from django_q.tasks import async_task

        parcel = Parcel()
        async_task(CANARY_TASK, self.worker_name, q_options={"save": False, "ack_failure": True, "broker": parcel})
        return parcel.package


def main(worker_name: str, pulse_descriptor: int, canary_seconds: float, grace: float, restart_grace: float) -> None:
    """Run a cluster until it is told to stop: by SIGTERM, with `grace` seconds left, or by SIGINT, with `restart_grace`."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nectorbridge.settings")
    import django

    django.setup()
    from django.conf import settings
    from django_q.brokers import get_broker
    from django_q.conf import Conf
    from django_q.signals import post_execute_in_worker, post_spawn, pre_execute

    from nectorbridge.processes.closing import ClosingBell, ClosingCluster

    Conf.WORKERS = settings.WORKER_PROCESSES
    logging.getLogger("django-q").setLevel(settings.Q_CLUSTER["log_level"])  # it has four lines for each canary
    pulse = PulseWriter(pulse_descriptor)
    pre_execute.connect(lambda **_: pulse.send(Sign.TAKEN), weak=False)
    post_execute_in_worker.connect(lambda **_: pulse.send(Sign.DONE), weak=False)
    bell = ClosingBell()
    post_spawn.connect(lambda **_: bell.listen(), weak=False)
    broker = CanaryBroker(get_broker(), worker_name, canary_seconds, pulse)
    ClosingCluster(broker, bell, {signal.SIGTERM: grace, signal.SIGINT: restart_grace}).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:]))
