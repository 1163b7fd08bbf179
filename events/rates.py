"""How often a public address may be asked for: so many requests a minute, counted in the cache, which may be lost."""

from __future__ import annotations

import hashlib
import logging
import time

from django.conf import settings
from django.core.cache import cache

logger = logging.getLogger(__name__)
MINUTE = 60
DOOR_FACTOR = 10  # a merchant's whole traffic comes through a door, one customer's through a link
REST_SECONDS = 10.0  # a cache that failed is left alone for so long: nobody waits for it at every request
_asked_again_at = 0.0


def is_too_often(what: str, factor: int = 1) -> bool:
    """Count a request to this address; tell whether it is one too many within this minute. Without a cache none is."""
    global _asked_again_at
    most = settings.PUBLIC_REQUESTS_PER_MINUTE * factor
    if not most or time.monotonic() < _asked_again_at:
        return False
    window = int(time.time()) // MINUTE
    key = f"rate:{window}:{hashlib.blake2b(what.encode(), digest_size=12).hexdigest()}"
    try:
        return _count(key) > most
    except Exception as error:  # a cache's own; there is no common class of them
        logger.warning("Requests are not counted for a while: the cache failed (%s).", type(error).__name__)
        _asked_again_at = time.monotonic() + REST_SECONDS
        return False


def _count(key: str) -> int:
    """Count one more; return how many it is. All but the first of a minute are one question to the cache."""
    try:
        return int(cache.incr(key))
    except ValueError:
        if cache.add(key, 1, timeout=2 * MINUTE):
            return 1
        return int(cache.incr(key))  # somebody else was the first, in this very moment


def seconds_left() -> int:
    """Return after how many seconds somebody who asked too often may come again."""
    return MINUTE - int(time.time()) % MINUTE
