"""Addresses that staff may type: a public host over HTTPS, never one inside our own network."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label has a letter in front: one that begins with a digit would be read as part of an IPv4 address (127.1, 0x7f.1).
HOST_NAME = re.compile(rf"^(?:{LABEL}\.)+[a-z][a-z0-9-]{{0,61}}[a-z0-9]$")
# RFC 6761, RFC 6762, RFC 8375 and common habits: names that never lead to the public internet.
INTERNAL_ENDINGS = frozenset(["localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "arpa", "test"])


@lru_cache(maxsize=256)
def public_https(value: str) -> str:
    """Return `https://` and the host name of a typed address. Raises ValueError that says what to do.

    Takes a bare host name or an https address, with nothing but `/` or `/v1` behind it. IP addresses and internal names are
    refused.
    """
    text = value.strip().lower()
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise ValueError(_("This is no address. Type one like https://api.example.com.")) from None
    extra = parts.username is not None or parts.query or parts.fragment or parts.path.rstrip("/") not in ("", "/v1")
    if parts.scheme != "https" or extra or port not in (None, 443):
        raise ValueError(_("Type https:// and a host name, without anything behind it."))
    if len(host) > 253 or not HOST_NAME.match(host) or host.rpartition(".")[2] in INTERNAL_ENDINGS:
        raise ValueError(_("Type a host name on the public internet, not an IP address or an internal name."))
    return f"https://{host}"
