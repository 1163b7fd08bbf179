"""The group that is not sent to: who is in it follows from who they are, so that what an event is worth can be read.

Pure: no queries, no clock.
"""

from __future__ import annotations

import hashlib

MOST_PERCENT = 50
BUCKETS = 10_000  # a hundredth of a per cent each


def bucket_of(definition_id: int, ref: str) -> int:
    """Return the bucket of a customer for one event: always the same, and independent of their buckets for other events."""
    digest = hashlib.sha256(f"holdout:{definition_id}:{ref}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def is_held_out(definition_id: int, ref: str, percent: int) -> bool:
    """Tell whether a customer belongs to the share that one event is not sent to. Who is in a share is in any larger one."""
    return percent > 0 and bucket_of(definition_id, ref) * 100 < percent * BUCKETS
