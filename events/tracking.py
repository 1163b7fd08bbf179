"""Tracked links: opaque, signed addresses for a delivery's open pixel and click redirect.

A token is a key's number, the delivery's id and a signature, 45 characters. It carries no address, so there is nothing to
redirect to but what the delivery itself froze.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from functools import lru_cache

from django.conf import settings

SIGNATURE_BYTES = 16
ID_BYTES = 16
SALT = b"nectorbridge.tracking."


@lru_cache(maxsize=16)
def _key(secret: str) -> bytes:
    """Return the signing key derived from one of the installation's keys."""
    return hashlib.sha256(SALT + secret.encode()).digest()


def _sign(identifier: bytes, secret: str) -> bytes:
    """Return the signature of a delivery id."""
    return hmac.digest(_key(secret), identifier, "sha256")[:SIGNATURE_BYTES]


def token(delivery_id: uuid.UUID) -> str:
    """Return the token of a delivery, signed with the first key."""
    identifier = delivery_id.bytes
    signature = _sign(identifier, settings.FERNET_KEYS[0])
    return base64.urlsafe_b64encode(identifier + signature).rstrip(b"=").decode()


def read_token(text: str) -> uuid.UUID | None:
    """Return the delivery's id, or None for anything that was not signed here with a key that is still known."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    if len(raw) != ID_BYTES + SIGNATURE_BYTES:
        return None
    identifier, signature = raw[:ID_BYTES], raw[ID_BYTES:]
    known = [hmac.compare_digest(signature, _sign(identifier, secret)) for secret in settings.FERNET_KEYS]
    return uuid.UUID(bytes=identifier) if any(known) else None


def urls(delivery_id: uuid.UUID) -> dict[str, str]:
    """Return the two addresses that go along with every event."""
    signed = token(delivery_id)
    return {
        "nector_click_url": f"{settings.PUBLIC_URL}/t/c/{signed}",
        "nector_open_url": f"{settings.PUBLIC_URL}/t/o/{signed}.gif",
    }
