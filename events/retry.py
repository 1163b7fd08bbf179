"""When to try again. One table of steps (`DELIVERY_RETRY_STEPS`) drives the code, the pages and the docs."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from django.conf import settings

JITTER_SHARE = 0.2  # added, never taken away: a retry is never early
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
LONGEST_HOLD_SECONDS = 600.0  # where the provider names no time: CleverTap's older pages say ten minutes
HOLDING_STATUSES = (429, 503)


def jittered(seconds: float) -> timedelta:
    """Return that many seconds plus up to a fifth."""
    return timedelta(seconds=seconds * (1 + random.random() * JITTER_SHARE))  # noqa: S311 - no secret hangs on it


def next_try(failures: int, now: datetime) -> datetime | None:
    """Return when to try again after that many failed tries, or None where the steps are used up."""
    steps = settings.DELIVERY_RETRY_STEPS
    return now + jittered(steps[failures - 1]) if failures <= len(steps) else None


def next_uncertain_try(uncertain: int, now: datetime, resends: int) -> datetime | None:
    """Return when to send again what may have arrived (first after the second step, 30 s), or None: better not."""
    if uncertain > resends:
        return None
    steps = settings.DELIVERY_RETRY_STEPS
    return now + jittered(steps[min(uncertain, len(steps) - 1)])


def retry_after(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds a 429 or 503 asks to wait (`Retry-After` as seconds or as a date), at most a day, or None."""
    value = headers.get("retry-after", "").strip()
    if status not in HOLDING_STATUSES or not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (TypeError, ValueError, OverflowError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS) if seconds == seconds else None


def hold_seconds(first: float, holds_before: int) -> float:
    """Return how long to leave an integration alone that named no time: doubling, up to ten minutes."""
    return min(first * 2 ** min(holds_before, 20), LONGEST_HOLD_SECONDS)
