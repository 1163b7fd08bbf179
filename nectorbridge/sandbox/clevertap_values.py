"""What CleverTap takes as one property of a record, and how a refusal is noted.

Facts from developer.clevertap.com/docs/upload-events-api and the limits on docs.clevertap.com.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

KEY_MAX = 120  # characters in an event, UTF-8 bytes in a profile
VALUE_MAX_BYTES = 512
PLAIN_MAX_CHARACTERS = 512  # an ASCII text up to here needs no closer look
PROHIBITED = frozenset("%><!|&.:;$'\"\\")
PROFILE_PROHIBITED = PROHIBITED | {"#"}
DATE = re.compile(r"^\$D_-?\d{1,11}\Z")  # milliseconds have more digits
NUMBERS = frozenset([int, float, bool])


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a record is refused: CleverTap's code, and a sentence that ends with a full stop."""

    code: int
    detail: str


def scalars(data: dict[str, Any]) -> Finding | None:
    """Check that an object is flat, with keys and values that CleverTap takes."""
    for key, value in data.items():
        if wrong := _key(key):
            return wrong
        kind = type(value)
        if kind is str:
            if (len(value) > PLAIN_MAX_CHARACTERS or not value.isascii() or value[:3] == "$D_") and (wrong := text(key, value)):
                return wrong
        elif kind not in NUMBERS:
            return Finding(512, f"Incorrect data type of {key}.")
    return None


@lru_cache(maxsize=8192)
def _key(key: str) -> Finding | None:
    """Check a property's name."""
    if not key.strip() or len(key) > KEY_MAX:
        return Finding(512, "Property name is empty or too long.")
    return None if PROHIBITED.isdisjoint(key) else Finding(512, f"Property name {key} has prohibited characters.")


def text(key: str, value: str) -> Finding | None:
    """Check a text value: its UTF-8 bytes, and the form of a date."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return Finding(512, f"Value of {key} is not valid Unicode.")
    if size > VALUE_MAX_BYTES:
        return Finding(512, f"Value of {key} is longer than {VALUE_MAX_BYTES} bytes.")
    if value.startswith("$D_") and not DATE.match(value):
        return Finding(512, f"Value of {key} is not a date.")
    return None
