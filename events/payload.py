"""What an event carries, frozen at the moment it is recorded: the activity's properties and Nector's common fields."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from events.tracking import urls
from integrations.providers.values import clean_text

CURRENCY_SYMBOLS = {"INR": "₹", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "AED": "AED", "IDR": "Rp", "SGD": "S$"}


def freeze(value: Any) -> Any:
    """Return a property's value as JSON keeps it: times as ISO 8601, decimals as numbers, NaN as nothing."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return freeze(int(value) if value == value.to_integral_value() else float(value)) if value.is_finite() else None
    if isinstance(value, Mapping):
        return {clean_text(str(key)): freeze(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [freeze(item) for item in value]
    return str(value)


def business_fields(name: str, website: str, coin_name: str, currency: str) -> dict[str, str]:
    """Return Nector's common fields about the merchant."""
    return {
        "business_name": name,
        "business_uri": website,
        "nector_business_uri": website,
        "business_coin_name": coin_name,
        "business_currency_code": currency,
        "business_currency_symbol": CURRENCY_SYMBOLS.get(currency, currency),
    }


def user_fields(recipient: Mapping[str, Any]) -> dict[str, Any]:
    """Return Nector's common fields about the customer."""
    return {
        "user_customer_id": recipient.get("customer_id"),
        "user_name": recipient.get("name"),
        "user_email": recipient.get("email"),
        "user_mobile": recipient.get("phone"),
    }


def activity_fields(business: Mapping[str, Any], recipient: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every delivery of one activity shares. The activity's own properties win; what is null is left out."""
    fields = {key: value for key, value in (*business.items(), *user_fields(recipient).items()) if value not in (None, "")}
    for key, value in properties.items():
        frozen = freeze(value)
        if frozen is not None and not (frozen == "" and key.startswith("user_")):
            fields[clean_text(str(key))] = frozen
    return fields


def delivery_fields(shared: Mapping[str, Any], delivery_id: uuid.UUID) -> dict[str, Any]:
    """Return the frozen payload of one delivery: the tracked addresses are never absent."""
    own = {"nector_delivery_id": str(delivery_id), **urls(delivery_id)}
    return {**own, **shared, **own}  # first, so that no limit drops them; last, so that nothing replaces them
