"""The processes of a run: workers, and the one that records. What dies at the top is started again, as by a service manager."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from nectorbridge.bench.family import Family, children
from nectorbridge.chaos import recording
from nectorbridge.processes.children import Child, end_all

WORKER_GRACE = 6
END_SECONDS = 12.0
RECORDER = "nectorbridge.chaos.recording"


@dataclass
class Worker:
    """One `manage.py worker`, and who its processes were when its present cluster was complete."""

    child: Child | None = None
    families: dict[int, Family] = field(default_factory=dict)  # by sentinel

    @property
    def pid(self) -> int:
        """Return the supervisor's process id. Raises LookupError where it does not run."""
        if self.child is None or self.child.exit_code is not None:
            raise LookupError("the worker does not run")
        return self.child.process.pid

    def family(self) -> Family:
        """Return the roles of the present cluster's processes. Raises LookupError or ValueError where it is not complete."""
        (main,) = children(self.pid)
        (sentinel,) = children(main)
        if sentinel not in self.families:
            self.families[sentinel] = Family(self.pid)
        return self.families[sentinel]

    def sentinel(self) -> int:
        """Return the sentinel's process id. Raises LookupError or ValueError."""
        (main,) = children(self.pid)
        (sentinel,) = children(main)
        return sentinel

    def members(self) -> list[int]:
        """Return all processes below the supervisor, and itself. Raises LookupError."""
        found, todo = [], [self.pid]
        while todo:
            found.append(todo.pop())
            todo += children(found[-1])
        return found


class Crew:
    """All processes of a run. Every method is for the main thread (see `Child`)."""

    def __init__(self, workers: int, events: int, seed: int, seconds: float, folder: Path) -> None:
        """Prepare; nothing is started yet."""
        self.workers = [Worker() for _ in range(workers)]
        self.events, self.folder = events, folder
        self._recording = [RECORDER, str(events), str(seed), str(seconds)]
        self.recorder: Child | None = None

    def look(self) -> None:
        """Start what is not running."""
        for worker in self.workers:
            if worker.child is None or worker.child.exit_code is not None:
                worker.child = self._again(worker.child, ["manage", "worker", "--grace", str(WORKER_GRACE)])
        if not self.has_recorded() and (self.recorder is None or self.recorder.exit_code is not None):
            self.recorder = self._again(self.recorder, self._recording)

    def _again(self, former: Child | None, command: Sequence[str]) -> Child:
        """Start a process after another of the same kind."""
        if former is not None:
            former.kill()  # what it may have left in its group
        return Child(command, env=dict(os.environ))

    def has_recorded(self) -> bool:
        """Tell whether everything is recorded."""
        return self.share_recorded() >= 1.0

    def share_recorded(self) -> float:
        """Return how much is recorded, from 0 to 1."""
        return recording.progress(self.folder) / self.events

    def end(self) -> None:
        """End all processes."""
        mine = [worker.child for worker in self.workers if worker.child]
        end_all([*mine, *([self.recorder] if self.recorder else [])], END_SECONDS)


def victim(crew: Crew, role: str, port: int, chance: random.Random) -> list[int]:
    """Return the processes to kill for a role. Raises LookupError or ValueError where nobody plays it now."""
    if role == "recorder":
        if crew.recorder is None or crew.recorder.exit_code is not None:
            raise LookupError("nobody records")
        return [crew.recorder.process.pid]
    worker = chance.choice(crew.workers)
    if role == "whole worker":
        return worker.members()
    if role == "supervisor":
        return [worker.pid]
    if role == "sentinel":
        return [worker.sentinel()]
    if role == "task process":
        return [chance.choice(children(worker.sentinel()))]
    family = worker.family()
    pids = {
        "busy task process": lambda: family.talking_to(port),
        "monitor": lambda: family.monitor,
        "pusher": lambda: family.pusher,
        "main process": lambda: family.main,
    }
    return [pids[role]()]


def strike(pids: Sequence[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to all of them at once, as far as they are still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def freeze(pids: Sequence[int], seconds: float) -> None:
    """Stop processes for a while, as a machine that swaps or is suspended does."""
    strike(pids, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        strike(pids, signal.SIGCONT)
