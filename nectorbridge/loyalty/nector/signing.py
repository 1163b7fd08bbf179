"""Who sent a webhook: the secret in its header, and the HMAC over its body. Pure.

Nector's documentation ("Webhook details sent to delivery URL") says of the secret header that it is the sha256 of the webhook
secret, and names an HMAC without its key, its bytes or its encoding. So the first decides, and the second is reported.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

from nectorbridge.loyalty.models.receipts import HmacVerdict


def hashed(secret: str) -> str:
    """Return what Nector sends of a secret: its sha256, lower-case hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matching(header: str, secrets: Iterable[str]) -> str | None:
    """Return the secret whose hash this header is, in any case. All are compared, each in constant time."""
    sent, found = header.strip().lower().encode(), None
    for secret in secrets:
        if hmac.compare_digest(sent, hashed(secret).encode()):
            found = secret
    return found


def verdict(header: str, body: bytes, secret: str) -> HmacVerdict:
    """Return what an HMAC is worth: hex in any case or base64, of the raw body, with the secret as its key.

    One whose key is the hashed secret is told apart: whoever sees a single request could make it.
    """
    if not header.strip():
        return HmacVerdict.ABSENT
    if _is_mac(header, body, secret.encode()):
        return HmacVerdict.VALID
    return HmacVerdict.HASHED_KEY if _is_mac(header, body, hashed(secret).encode()) else HmacVerdict.WRONG


def _is_mac(header: str, body: bytes, key: bytes) -> bool:
    mac = hmac.new(key, body, hashlib.sha256).digest()
    sent = header.strip().encode()
    is_hex = hmac.compare_digest(sent.lower(), mac.hex().encode())
    return hmac.compare_digest(sent, base64.b64encode(mac)) or is_hex
