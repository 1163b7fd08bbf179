"""Single values of a webhook, of which none can be taken for granted: each may be missing, a number, or text. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from integrations.providers.values import clean_text

LARGEST = Decimal(10) ** 15  # beyond it, nothing is a number that anybody means
MILLISECONDS_FROM = 10**11  # as seconds that would be the year 5138
LATEST = 10**10


def text(value: Any, longest: int) -> str:
    """Return a value as text without control characters, empty where it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return clean_text(str(value)).strip()[:longest]


def number(value: Any) -> Decimal | None:
    """Return a value as a number, also where it was written as text."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) <= LARGEST else None


def moment(value: Any, zone: tzinfo | None = None) -> datetime | None:
    """Return a unix time in seconds or milliseconds, or an ISO 8601 time: one without a zone is of `zone`, or none at all."""
    found = number(value)
    if found is None:
        return _iso(value.strip(), zone) if isinstance(value, str) else None
    seconds = float(found) / 1000 if found >= MILLISECONDS_FROM else float(found)
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < LATEST else None


def _iso(said: str, zone: tzinfo | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(said)
        found = found if found.utcoffset() is not None else found.replace(tzinfo=zone)
        return found.astimezone(UTC) if found.utcoffset() is not None else None
    except (ValueError, OverflowError):
        return None
