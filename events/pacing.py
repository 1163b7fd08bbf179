"""The last moment before a call leaves: a rate is kept also where a busy machine let some calls miss their moments."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import lru_cache

MARGIN_SECONDS = 0.02  # calls do not all take the same time to get there


class Gate:
    """Lets the calls of one account out, never more than the rate allows within any second, whenever their threads awake.

    The moments of `events.stamping` hold for all processes; what leaves late there would crowd what leaves in time.
    """

    def __init__(self, per_second: float) -> None:
        """Open the gate for this rate."""
        most = max(1, int(per_second))
        self._period = most / per_second + MARGIN_SECONDS
        self._left: deque[float] = deque(maxlen=most)
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until one more call may leave."""
        with self._lock:  # who comes first leaves first
            if len(self._left) == self._left.maxlen and (early := self._left[0] + self._period - time.monotonic()) > 0:
                time.sleep(early)
            self._left.append(time.monotonic())


@lru_cache(maxsize=1024)
def gate_of(integration_id: int, per_second: float) -> Gate:
    """Return this process's gate of an account."""
    return Gate(per_second)
