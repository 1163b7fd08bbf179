"""What this app reads of a host's settings, and what holds for those that are not there.

`settings.X` is how each is read, here and in `events`: what is missing is filled in when the apps are loaded. FERNET_KEYS has no
default: a key is nobody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

DEFAULTS: Mapping[str, Any] = {
    "PUBLIC_URL": "http://127.0.0.1:8000",  # where links in mails and messages lead
    "TRUSTED_PROXY_COUNT": 0,
    "PROVIDER_BASE_URLS": {},  # slug to what replaces scheme and host of every call: for sandboxes
    "DELIVERY_HTTP_TIMEOUT_SECONDS": 10.0,
}


def fill_in(defaults: Mapping[str, Any]) -> None:
    """Have settings that a host does not set; a callable is asked for its value, with those before it in place."""
    for name, value in defaults.items():
        if not hasattr(settings, name):
            setattr(settings, name, value() if callable(value) else value)
