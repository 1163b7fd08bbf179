"""Delivery ids: UUIDs of version 7 (RFC 9562), so that ids grow with time and neighbours in time are neighbours on disk.

Within a process they grow strictly, which makes "recorded order" the order of the ids.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

_lock = threading.Lock()
_last = 0
SUB_MILLISECOND_BITS = 12
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id() -> uuid.UUID:
    """Return a new id: 48 bits of milliseconds, 12 bits of their fraction or a counter, 62 random bits."""
    global _last
    now = time.time_ns()
    stamp = (now // 1_000_000 << SUB_MILLISECOND_BITS) + (now % 1_000_000 << SUB_MILLISECOND_BITS) // 1_000_000
    with _lock:
        _last = stamp = max(stamp, _last + 1)
    high = (stamp >> SUB_MILLISECOND_BITS) << 16 | 0x7000 | stamp & 0xFFF
    low = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return uuid.UUID(int=high << 64 | low)


def first_id_at(moment: datetime) -> uuid.UUID:
    """Return the smallest id that a delivery recorded at that moment can have: it turns a period into a range of ids.

    So a period needs no index of its own. Raises ValueError for a naive time.
    """
    if moment.utcoffset() is None:
        raise ValueError("first_id_at() needs an aware time")
    milliseconds = max(0, (moment - EPOCH) // timedelta(milliseconds=1))
    return uuid.UUID(int=milliseconds << 80 | 0x7000 << 64 | 0x8000_0000_0000_0000)


def moment_of(identifier: uuid.UUID) -> datetime:
    """Return the moment, to the millisecond and in UTC, at which a delivery with this id was recorded."""
    return EPOCH + timedelta(milliseconds=identifier.int >> 80)
