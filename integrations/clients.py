"""Who is really asking: the address of a client, also behind proxies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

FORWARDED = "HTTP_X_FORWARDED_FOR"


def address_of(meta: Mapping[str, Any]) -> str:
    """Return the client's address from a request's META, empty where it has none (a socket of this machine).

    `TRUSTED_PROXY_COUNT` proxies stand in front, and each appends whom it was asked by to X-Forwarded-For: so that many entries
    from the right is the last that one of ours wrote. What is further left anybody may have written, and is not looked at.
    """
    count: int = getattr(settings, "TRUSTED_PROXY_COUNT", 0)
    if count and FORWARDED in meta:
        told = [part.strip() for part in str(meta[FORWARDED]).split(",")]
        if len(told) >= count:
            return told[-count]
    return str(meta.get("REMOTE_ADDR") or "")
