"""Tracked links: opaque, signed addresses for a delivery's open pixel and click redirect.

A token is the delivery's id and a signature, 43 characters. It carries no address, so there is nothing to redirect to but
what the delivery itself froze. The first key signs, all of them are accepted: a new one in front retires no link that was
sent, and one that is taken away retires all that it signed.
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


def _keys() -> list[str]:
    """Return the keys of links, the one that signs first; those of the encrypted fields where there are none of their own."""
    return settings.TRACKING_KEYS or settings.FERNET_KEYS


def _sign(identifier: bytes, secret: str) -> bytes:
    """Return the signature of a delivery id."""
    return hmac.digest(_key(secret), identifier, "sha256")[:SIGNATURE_BYTES]


def token(delivery_id: uuid.UUID) -> str:
    """Return the token of a delivery, signed with the first key. It is unguessable, and 43 characters long."""
    identifier = delivery_id.bytes
    return _text(identifier + _sign(identifier, _keys()[0]))


def _text(raw: bytes) -> str:
    """Return bytes as they stand in an address."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read_token(text: str) -> uuid.UUID | None:
    """Return the delivery's id, or None for anything that was not signed here with a key that is still known."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    if len(raw) != ID_BYTES + SIGNATURE_BYTES or _text(raw) != text:  # decoding forgives what nobody here has written
        return None
    identifier, signature = raw[:ID_BYTES], raw[ID_BYTES:]
    known = [hmac.compare_digest(signature, _sign(identifier, secret)) for secret in _keys()]
    return uuid.UUID(bytes=identifier) if any(known) else None


def urls(delivery_id: uuid.UUID) -> dict[str, str]:
    """Return the two addresses that go along with every event."""
    signed = token(delivery_id)
    return {
        "nector_click_url": f"{settings.PUBLIC_URL}/t/c/{signed}",
        "nector_open_url": f"{settings.PUBLIC_URL}/t/o/{signed}.gif",
    }
