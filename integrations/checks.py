"""System checks: the keys that protect the merchants' credentials are really keys."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

SHORTEST_KEY = 32


@register()
def fernet_keys_are_keys(**_kwargs: Any) -> list[CheckMessage]:
    """FERNET_KEYS must be given, long enough, and not the SECRET_KEY: a leaked session key must not open credentials."""
    keys = list(getattr(settings, "FERNET_KEYS", None) or [])
    problems: list[CheckMessage] = []
    if not keys:
        problems.append(
            Error("FERNET_KEYS is empty.", hint="Set one random text of 32 characters or more.", id="integrations.E001")
        )
    if any(len(str(key)) < SHORTEST_KEY for key in keys):
        problems.append(Error(f"A key in FERNET_KEYS is shorter than {SHORTEST_KEY} characters.", id="integrations.E002"))
    if settings.SECRET_KEY in keys:
        problems.append(Error("FERNET_KEYS contains SECRET_KEY.", hint="Use a key of its own.", id="integrations.E003"))
    return problems
