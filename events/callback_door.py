"""`POST /callbacks/<provider>/<token>/[<kind>/]`: who may come in is decided here; what comes in is stored, and worked on later.

The answer is given as soon as it is stored: some providers wait no longer than three seconds, and none sends twice for ever.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from events import callbacks, doors
from integrations.fields import SecretUnreadable
from integrations.lately import Lately
from integrations.models import Integration
from integrations.providers.callbacks import KINDS, Unreadable, kind_of, read_body

logger = logging.getLogger(__name__)
NOWHERE = "Nobody listens at this address. Copy it anew from the integration's page “Coming back”."


@dataclass(frozen=True, slots=True)
class Door:
    """Whose address this is, and what a sender must show there: empty where that is nothing, None where it cannot be read."""

    integration_id: int
    wanted: str | None = field(repr=False)


def _door(address: tuple[str, str]) -> Door | None:
    """Return who listens at the address of a provider and a token. Raises DatabaseError."""
    provider, token = address
    integration = Integration.objects.filter(provider=provider, callback_token=token).first()
    if integration is None:
        return None
    try:
        return Door(integration.pk, integration.callback_auth)
    except SecretUnreadable:
        logger.error("The callback authentication of an integration with %s cannot be read with FERNET_KEYS.", provider)
        return Door(integration.pk, None)


DOORS: Lately[tuple[str, str], Door] = Lately(_door, Integration)


@csrf_exempt
@require_POST
def callback(request: HttpRequest, provider: str, token: str, kind: str = "") -> JsonResponse:
    """Store what a provider sends and answer at once: 200 also for a repetition, so that it is not sent again."""
    known = kind_of(kind) if kind else ""
    if kind and known not in KINDS:
        return doors.answer(404, NOWHERE)
    try:
        door = DOORS.find((provider, token))
        if door is None:
            return doors.answer(404, NOWHERE)
        return doors.too_often(f"callback:{token}") or _taken_in(request, door, known)
    except DatabaseError as error:
        logger.warning("A callback could not be stored (%s); it is refused, so that it comes again.", type(error).__name__)
        return doors.answer(503, "It could not be stored now. Send it again.")


def _taken_in(request: HttpRequest, door: Door, kind: str) -> JsonResponse:
    """Check and store. Raises DatabaseError."""
    if door.wanted is None:
        return doors.answer(503, "The authentication cannot be checked now. Send it again.")
    if door.wanted and not is_authorised(door.wanted, request.headers):
        words = "The authentication is missing or wrong. It stands on the integration's page “Coming back”."
        return doors.answer(401, words, WWW_Authenticate='Basic realm="callbacks"')
    try:
        raw = request.body
        read_body(raw, request.content_type or "")
    except RequestDataTooBig:
        return doors.answer(413, "The body is too large. Send fewer events at a time.")
    except UnreadablePostError:
        return doors.answer(400, "The body did not arrive as a whole.")
    except Unreadable as error:
        return doors.answer(400, str(error))
    digest = hashlib.sha256(raw).hexdigest()
    return doors.stored(callbacks.store(door.integration_id, kind, raw, request.content_type or "", digest))


def is_authorised(wanted: str, headers: Mapping[str, str]) -> bool:
    """Tell whether these headers show what is wanted: as Basic authentication, as a header of its own, or as a bearer token."""
    authorization = headers.get("Authorization", "").strip()
    scheme, _separator, credentials = authorization.partition(" ")
    shown = [authorization, credentials.strip() if scheme.lower() == "bearer" else "", _basic(scheme, credentials)]
    name, separator, value = wanted.partition(":")
    allowed = [_is_same(candidate, wanted.strip()) for candidate in shown]
    if separator and value.strip() and name.strip().isascii():
        allowed.append(_is_same(headers.get(name.strip(), ""), value.strip()))
    return any(allowed)


def _basic(scheme: str, credentials: str) -> str:
    """Return user and password of Basic authentication, empty where it is none."""
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _is_same(shown: str, wanted: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(shown.strip().encode(errors="replace"), wanted.encode(errors="replace"))
