"""What every service refuses: places that no event could name, times without a zone, numbers that are none."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from events.states import Portal
from nectorbridge.loyalty import ledger

LARGEST_VALUE = Decimal(10) ** 10  # what the columns hold
CENT = Decimal("0.01")


def amount(value: Any, name: str, error: type[ValueError] = ValueError) -> Decimal:
    """Return a number that is not negative, rounded to two places. Raises `error`."""
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        raise error(f"{name} must be a number; got {value!r}") from None
    if not number.is_finite() or not 0 <= number < LARGEST_VALUE:
        raise error(f"{name} must be from 0 to less than {LARGEST_VALUE}; got {value!r}")
    return number.quantize(CENT)


def portal(value: str) -> None:
    """Refuse a portal that no event could name."""
    if value not in ledger.PORTALS - {Portal.ALL}:
        raise ValueError(f"portal must be online_store, pos, app or empty; got {value!r}")


def aware(moment: datetime | None, name: str) -> None:
    """Refuse a time without a zone."""
    if moment is not None and moment.utcoffset() is None:
        raise ValueError(f"{name} must be an aware time")


def fits(text: str, longest: int, name: str) -> str:
    """Return the text without spaces around it, unless it is longer than its column."""
    text = text.strip()
    if len(text) > longest:
        raise ValueError(f"{name} must have at most {longest} characters; got {len(text)}")
    return text
