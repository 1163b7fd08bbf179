"""Small pure helpers that more than one provider needs: cleaning values, hashing profiles."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

EMAIL = re.compile(r"^[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+\Z")
E164 = re.compile(r"^\+[1-9]\d{6,14}$")
PHONE_PUNCTUATION = re.compile(r"[\s().-]")
LONGEST_UTF8_CHARACTER = 4  # bytes
ISO_DATETIME = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$")


def cut_utf8(text: str, limit: int) -> str:
    """Return the text cut to at most `limit` UTF-8 bytes, never inside a character."""
    if len(text) * LONGEST_UTF8_CHARACTER <= limit:  # the usual case, without a copy
        return text
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= limit else encoded[:limit].decode(errors="ignore")


def clean_text(text: str) -> str:
    """Return a text as every database and every provider can keep it: no NUL, no half of a surrogate pair."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def scalar(value: Any) -> str | int | float | bool | None:
    """Return the value as a JSON scalar; lists and objects as JSON text; NaN and infinities as None."""
    if value is None or isinstance(value, (str, int)):  # a bool is an int
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, default=str, separators=(",", ":"), ensure_ascii=False)
    return str(value)


def epoch_of_iso(text: str) -> int | None:
    """Return the epoch seconds of an ISO 8601 time with a zone, or None where the text is none."""
    if not ISO_DATETIME.match(text):
        return None
    try:
        return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
    except ValueError:
        return None


def email_or_none(value: Any) -> str | None:
    """Return an address that has the shape of one, or None."""
    text = str(value or "").strip()
    return text if EMAIL.match(text) else None


def e164_or_none(value: Any) -> str | None:
    """Return a phone number with its country code (`+` and 7 to 15 digits), or None."""
    text = PHONE_PUNCTUATION.sub("", str(value or ""))
    return text if E164.match(text) else None


def digest(data: Mapping[str, Any]) -> str:
    """Return a short stable hash of a profile, to know whether it has changed since it was last pushed."""
    text = json.dumps(data, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def dumps(value: Any) -> str:
    """Return compact JSON. NaN must have been removed before: it is not JSON."""
    try:
        return orjson.dumps(value, option=ONLY_JSON).decode()
    except TypeError:  # a whole number beyond 64 bits, half of a surrogate pair, a key that is no text: rare, and not wrong
        return _ENCODER.encode(value)


def loads(text: str) -> Any:
    """Return what JSON says. Raises ValueError."""
    try:
        return orjson.loads(text)
    except ValueError:  # NaN, or half of a surrogate pair, in what was stored by somebody else
        return json.loads(text)


ONLY_JSON = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
