"""How long to wait before something that ended is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Backoff:
    """Doubling waits in seconds, forgotten once something has lived for `healthy_after` seconds."""

    first: float = 0.5
    longest: float = 10.0
    healthy_after: float = 30.0
    failures: int = 0

    def wait_after(self, uptime: float) -> float:
        """Return the wait after an end that came `uptime` seconds after the start."""
        self.failures = 1 if uptime >= self.healthy_after else self.failures + 1
        return min(self.longest, self.first * 2.0 ** (self.failures - 1))
