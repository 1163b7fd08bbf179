"""The body of a webhook: read, cleaned of what no database keeps, and told apart from others. Pure."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import orjson

DEEPEST = 40  # levels: no webhook needs more, and what walks through a body must not run out of stack


class Unreadable(ValueError):
    """A body that is no JSON object. The message says why, without quoting it."""


def read(raw: bytes) -> dict[str, Any]:
    """Return a body as an object, without NUL characters and numbers that are none. Raises Unreadable."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Unreadable("The body is not JSON.") from None
    if not isinstance(found, dict):
        raise Unreadable("The body is JSON, but not an object.")
    cleaned: dict[str, Any] = _clean(found, DEEPEST)
    return cleaned


def _clean(value: Any, levels: int) -> Any:
    """Return the value as every database keeps it."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (dict, list)) and levels <= 0:
        raise Unreadable(f"The body is nested deeper than {DEEPEST} levels.")
    if isinstance(value, dict):
        return {key.replace("\x00", ""): _clean(item, levels - 1) for key, item in value.items()}
    return [_clean(item, levels - 1) for item in value] if isinstance(value, list) else value


def fingerprint(*parts: Any) -> str:
    """Return what tells one content from another, whatever the order of its keys: a sha256 in hex."""
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
