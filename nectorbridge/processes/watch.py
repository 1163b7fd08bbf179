"""Does the cluster still work? Decided from its signs of life and a clock that the caller reads.

Hung is: a worker is free, a canary comes by every two seconds, and none has been taken for long. While every worker is busy no
canary can be taken, so the clock stands still: restarting a busy cluster would cut calls to providers in the middle.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from nectorbridge.processes.pulse import Sign

ACKNOWLEDGE_STALLS = 2  # the monitor writes results to a database that may be busy: it gets twice the time


def is_alive(pid: int) -> bool:
    """Return whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass
class Watch:
    """One cluster's signs of life. All times are seconds of one monotonic clock."""

    stall: float  # longest silence of a cluster that has a free worker
    boot: float  # longest wait for the first sign
    workers: int
    task_limit: float  # a worker that is busy for longer is dead or was killed by the cluster itself
    exists: Callable[[int], bool] = is_alive
    busy: dict[int, float] = field(default_factory=dict)
    last_sign_at: float = 0.0
    is_proven: bool = False
    unacknowledged_since: float | None = None

    def begin(self, now: float) -> None:
        """Start afresh: a new cluster, or one that gets another chance because its database was away."""
        self.busy.clear()
        self.last_sign_at, self.is_proven, self.unacknowledged_since = now, False, None

    def saw(self, sign: Sign, pid: int, now: float) -> None:
        """Take note of one sign."""
        if sign is Sign.ACKNOWLEDGED:
            self.unacknowledged_since = None
            return
        if sign is Sign.QUEUE_AWAY:
            self.last_sign_at = now  # no canary can come by, and a restart would not help
            return
        self.last_sign_at, self.is_proven = now, True
        if sign is Sign.TAKEN:
            self.busy[pid] = now
            return
        self.busy.pop(pid, None)
        if self.unacknowledged_since is None:
            self.unacknowledged_since = now

    def complaint(self, now: float) -> str:
        """Return what is wrong with the cluster, as the end of a sentence; empty if nothing is."""
        self.busy = {pid: since for pid, since in self.busy.items() if now - since < self.task_limit and self.exists(pid)}
        if len(self.busy) >= self.workers:
            self.last_sign_at = now
        elif not self.is_proven and now - self.last_sign_at > self.boot:
            return f"did not begin to work within {self.boot:g} s"
        elif self.is_proven and now - self.last_sign_at > self.stall:
            return f"took no task for {self.stall:g} s although a worker was free"
        limit = self.stall * ACKNOWLEDGE_STALLS
        if self.unacknowledged_since is not None and now - self.unacknowledged_since > limit:
            return f"acknowledged no result for {limit:g} s"
        return ""
