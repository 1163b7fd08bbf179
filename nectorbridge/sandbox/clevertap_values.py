"""What CleverTap takes as one property of a record, and how a refusal is noted.

Facts from developer.clevertap.com/docs/upload-events-api and the limits on docs.clevertap.com.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

KEY_MAX = 120  # characters in an event, UTF-8 bytes in a profile
VALUE_MAX_BYTES = 512
PROHIBITED = frozenset("%><!|&.:;$'\"\\")
PROFILE_PROHIBITED = PROHIBITED | {"#"}
DATE = re.compile(r"^\$D_-?\d{1,11}\Z")  # milliseconds have more digits
NUMBERS = frozenset([int, float, bool])
KNOWN_KEYS_MAX = 8192


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a record is refused: CleverTap's code, and a sentence that ends with a full stop."""

    code: int
    detail: str


_known_keys: set[str] = set()  # found good before; the same few come with every event


def scalars(data: dict[str, Any]) -> Finding | None:
    """Check that an object is flat, with keys and values that CleverTap takes."""
    if not _known_keys.issuperset(data) and (wrong := _keys(data)):
        return wrong
    for key, value in data.items():
        kind = type(value)
        if kind is str:
            if (len(value) > VALUE_MAX_BYTES or not value.isascii() or value[:3] == "$D_") and (wrong := text(key, value)):
                return wrong
        elif kind not in NUMBERS:
            return Finding(512, f"Incorrect data type of {key}.")
    return None


def _keys(data: dict[str, Any]) -> Finding | None:
    """Check the properties' names, and remember good ones."""
    for key in data:
        if not key.strip() or len(key) > KEY_MAX:
            return Finding(512, "Property name is empty or too long.")
        if not PROHIBITED.isdisjoint(key):
            return Finding(512, f"Property name {key} has prohibited characters.")
    if len(_known_keys) > KNOWN_KEYS_MAX:
        _known_keys.clear()
    _known_keys.update(data)
    return None


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
