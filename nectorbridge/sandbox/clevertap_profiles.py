"""What CleverTap takes in a profile: the standard attributes with their own codes, and the merchant's properties.

Facts from developer.clevertap.com/docs/upload-user-profiles-api and docs/api-errors. The values of Employed, Education
and Married are those of the SDKs' pages (docs/user-profiles-android).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from nectorbridge.sandbox.clevertap_values import DATE, KEY_MAX, PROFILE_PROHIBITED, Finding, text

PROFILE_PROPERTIES_MAX = 256
ITEMS_MAX = 100
OPERATORS = frozenset(["$add", "$remove", "$set", "$delete"])
OPT_OUTS = frozenset(["MSG-email", "MSG-push", "MSG-sms", "MSG-whatsapp"])
AGE_MAX_YEARS = 150
OURS_TIME = re.compile(r"^nector_\w+_(at|as_of)\Z")
EMAIL = re.compile(r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+\Z")
PHONE = re.compile(r"^\+[1-9]\d{6,14}\Z")


def _yes_or_no(value: Any) -> bool:
    return isinstance(value, bool) or value in ("Y", "N")


def _age(value: Any) -> bool:
    return str(value).isascii() and str(value).isdigit() and 0 < int(value) <= AGE_MAX_YEARS


# Attribute to its code, what CleverTap calls it, and whether it takes the value.
ATTRIBUTES: dict[str, tuple[int, str, Callable[[Any], bool]]] = {
    "Gender": (514, "Gender", lambda value: value in ("M", "F")),
    "Email": (515, "Email", lambda value: isinstance(value, str) and EMAIL.match(value) is not None),
    "Phone": (516, "Phone number", lambda value: isinstance(value, str) and PHONE.match(value) is not None),
    "Employed": (517, "Employment status", _yes_or_no),
    "Education": (518, "Education", lambda value: value in ("School", "College", "Graduate")),
    "Married": (519, "Marital status", _yes_or_no),
    "Age": (520, "Age", _age),
}


def profile_data(data: Any) -> Finding | None:
    """Return the first thing wrong with `profileData`, or None."""
    if not isinstance(data, dict):
        return Finding(512, "profileData should be an object.")
    if len(data) > PROFILE_PROPERTIES_MAX:
        return Finding(512, "Profile properties limit exceeded.")
    for key, value in data.items():
        wrong = _key(key) or _value(key, value)
        if wrong is not None:
            return wrong
    return None


@lru_cache(maxsize=8192)
def _key(key: str) -> Finding | None:
    """Check a property's name: bytes are counted here."""
    if not key.strip() or len(key.encode(errors="replace")) > KEY_MAX:
        return Finding(512, "Property name is empty or too long.")
    return None if PROFILE_PROHIBITED.isdisjoint(key) else Finding(512, f"Property name {key} has prohibited characters.")


def _value(key: str, value: Any) -> Finding | None:
    """Check a value: an attribute of CleverTap's own, an opt-out, a scalar, or a list of texts."""
    if key in ATTRIBUTES:
        code, label, takes = ATTRIBUTES[key]
        return None if takes(value) else Finding(code, f"{label} is not valid.")
    if key in OPT_OUTS and not isinstance(value, bool):
        return Finding(512, f"{key} should be true or false.")
    if key == "DOB" and (not isinstance(value, str) or not DATE.match(value)):
        return Finding(512, "DOB should be a date.")
    if key == "Name" and not isinstance(value, str):
        return Finding(512, "Name should be a text.")
    if isinstance(value, str):
        if OURS_TIME.search(key) and not DATE.match(value):  # CleverTap would keep it as a text, which no segment can compare
            return Finding(512, f"Value of {key} is not a date.")
        return text(key, value)
    if isinstance(value, bool | int | float) or _is_multi_value(value):
        return None
    return Finding(512, f"Incorrect data type of {key}.")


def _is_multi_value(value: Any) -> bool:
    """Return whether the value is a list of texts, or one operator with such a list."""
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= OPERATORS:
        value = next(iter(value.values()))
    if not isinstance(value, list) or not 0 < len(value) <= ITEMS_MAX:
        return False
    return all(isinstance(item, str) and text("an item", item) is None for item in value)
