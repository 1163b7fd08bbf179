"""What the loyalty programme knows of a customer, as flat values that a profile at a provider can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from integrations.providers.base import Profile
from integrations.providers.values import ISO_DATETIME, scalar

AS_OF = "_as_of"
TIMES = ("_at", AS_OF)  # endings of names whose values are times


def attributes_of(profile: Profile, spelled: Callable[[datetime], Any]) -> dict[str, Any]:
    """Return the profile's attributes as JSON scalars, times `spelled` as the provider wants; nothing empty or refused.

    Numbers stay numbers and texts stay texts whatever their value, so that a property keeps its type at the provider.
    """
    data = {}
    for name, value in profile.attributes.items():
        moment = _moment(name, value)
        plain = scalar(value) if moment is None else spelled(moment)
        if plain is not None and plain != "" and name not in profile.refused:
            data[name] = plain
    return data


def news_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a profile differ from what was pushed before: the time at which a value was seen does not."""
    return {name: value for name, value in data.items() if not name.endswith(AS_OF)}


def _moment(name: str, value: Any) -> datetime | None:
    """Return a time, also from the text of one that was stored; None for what is no time."""
    if isinstance(value, datetime):
        return value
    if not (name.endswith(TIMES) and isinstance(value, str) and ISO_DATETIME.match(value)):
        return None
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
