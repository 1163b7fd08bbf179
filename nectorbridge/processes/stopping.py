"""When a person or a service manager wants this process to end."""

from __future__ import annotations

import signal
import time
from types import FrameType

SAME_REQUEST_SECONDS = 1.0  # `timeout`, `make` and closing terminals send their signal twice


class StopRequests:
    """Counts SIGTERM, SIGINT and SIGHUP: the first asks for a graceful end, a later one for an immediate end."""

    def __init__(self) -> None:
        """Listen from now on."""
        self.is_wanted = False
        self.is_urgent = False
        self._first_at = 0.0
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.is_wanted:
            self.is_wanted, self._first_at = True, now
        elif now - self._first_at > SAME_REQUEST_SECONDS:
            self.is_urgent = True
