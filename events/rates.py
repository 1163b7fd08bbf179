"""How often a public address may be asked for: so many requests a minute, counted in the cache, which may be lost."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter

from django.conf import settings
from django.core.cache import cache

from integrations.caching import tried

MINUTE = 60
PARTS = 100
DOOR_FACTOR = 10  # a merchant's whole traffic comes through a door, one customer's through a link
REST_SECONDS = 10.0  # a cache that failed is left alone for so long: nobody waits for it at every request
_asked_again_at = 0.0


def is_too_often(what: str, factor: int = 1) -> bool:
    """Count a request to this address; tell whether it is one too many within this minute. Without a cache none is.

    A process asks the cache every hundredth part of what is allowed, for as many requests at once: whoever comes a few times a
    minute costs no question, and the limit holds to one part in a hundred for each process.
    """
    global _asked_again_at
    most = settings.PUBLIC_REQUESTS_PER_MINUTE * factor
    if not most or time.monotonic() < _asked_again_at:
        return False
    step, window = max(most // PARTS, 1), int(time.time()) // MINUTE
    mine = _here.count(what, window)
    if mine % step:
        return what in _here.too_often
    key = f"rate:{window}:{hashlib.blake2b(what.encode(), digest_size=12).hexdigest()}"
    number = tried("Requests are not counted for a while", _count, key, step)
    if number is None:
        _asked_again_at = time.monotonic() + REST_SECONDS
        return False
    if number > most:
        _here.too_often.add(what)
    return number > most


class _Here:
    """What this process counted within the present minute."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.window = 0
        self.counts: Counter[str] = Counter()
        self.too_often: set[str] = set()
        self._lock = threading.Lock()

    def count(self, what: str, window: int) -> int:
        """Count one more; return how many that is in this minute."""
        with self._lock:
            if self.window != window:
                self.window, self.counts, self.too_often = window, Counter(), set()
            self.counts[what] += 1
            return self.counts[what]


_here = _Here()


def _count(key: str, step: int) -> int:
    """Count so many more; return how many that is together with other processes'."""
    try:
        return int(cache.incr(key, step))
    except ValueError:
        if cache.add(key, step, timeout=2 * MINUTE):
            return step
        return int(cache.incr(key, step))  # somebody else was the first, in this very moment


def seconds_left() -> int:
    """Return after how many seconds somebody who asked too often may come again."""
    return MINUTE - int(time.time()) % MINUTE
