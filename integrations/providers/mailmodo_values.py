"""What Mailmodo takes as an address, a property and a contact's data.

Facts from Mailmodo's OpenAPI documents at developers.mailmodo.com: properties are flat texts, numbers and booleans. The first
value fixes a property's type, so nothing is converted from one to another. Whether capitals in an address matter is not known:
lower case everywhere lets events and contacts meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from integrations.providers.values import clean_text, e164_or_none, email_or_none, scalar

EMAIL_MAX_CHARACTERS = 254  # RFC 5321
OWN_PROPERTIES = ("nector_click_url", "nector_open_url")  # never hidden behind a property that flattens to the same name


def address(recipient: Mapping[str, Any]) -> str | None:
    """Return the customer's address in lower case, or None where there is none of the right shape."""
    email = clean_text(email_or_none(recipient.get("email")) or "").lower()
    return email if email and len(email) <= EMAIL_MAX_CHARACTERS else None


def properties(delivery_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat event properties without nulls: our own first, then the given ones, then what was nested in them."""
    data: dict[str, Any] = {"nector_delivery_id": delivery_id}
    data |= {name: given[name] for name in OWN_PROPERTIES if isinstance(given.get(name), str)}
    nested = {key: value for key, value in given.items() if isinstance(value, Mapping)}
    direct = {key: value for key, value in given.items() if key not in nested}
    for key, value in (*_flat(direct), *_flat(nested)):
        if value is not None and key.strip():
            data.setdefault(key, value)
    return data


def contact_data(recipient: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a contact's data: name, phone, our id, and what the loyalty programme knows. What is missing is absent."""
    data = {key: value for key, value in _flat(attributes) if value is not None}
    own = {
        "name": _name(recipient),
        "phone": e164_or_none(recipient.get("phone")),
        "nector_customer_id": clean_text(str(recipient.get("customer_id") or "")).strip(),
    }
    own = {key: value for key, value in own.items() if value}
    return own | {key: value for key, value in data.items() if key not in own}


def _name(recipient: Mapping[str, Any]) -> str:
    """Return the customer's full name, also where only its parts are known."""
    parts = (recipient.get("first_name"), recipient.get("last_name"))
    whole = recipient.get("name") or " ".join(str(part).strip() for part in parts if part)
    return clean_text(str(whole)).strip()


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield scalars: an object's keys joined by `_`, a list as JSON text, a time as ISO 8601 in UTC."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}_")
        else:
            yield clean_text(f"{prefix}{key}"), _plain(value)


def _plain(value: Any) -> str | int | float | bool | None:
    """Return a value as a JSON scalar of a type that does not depend on the value."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return scalar(int(value) if value.is_finite() and value == value.to_integral_value() else float(value))
    return scalar(value)
