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

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from events import callbacks, doors
from events.sql import looked_up
from integrations.fields import SecretUnreadable
from integrations.models import Integration
from integrations.providers.callbacks import KINDS, Unreadable, kind_of, read_body

logger = logging.getLogger(__name__)
# Said in SQL, as in `events.views`: a provider waits no longer than a customer.
LOOK_UP = """
    SELECT id, sealed_callback_auth IS NOT NULL FROM integrations_integration WHERE provider = %s AND callback_token = %s
"""
NOWHERE = "Nobody listens at this address. Copy it anew from the integration's page “Coming back”."


@csrf_exempt
@require_POST
def callback(request: HttpRequest, provider: str, token: str, kind: str = "") -> JsonResponse:
    """Store what a provider sends and answer at once: 200 also for a repetition, so that it is not sent again."""
    known = kind_of(kind) if kind else ""
    if kind and known not in KINDS:
        return doors.answer(404, NOWHERE)
    try:
        integration = _integration(provider, token)
        if integration is None:
            return doors.answer(404, NOWHERE)
        return doors.too_often(f"callback:{token}") or _taken_in(request, integration, known)
    except SecretUnreadable:
        logger.error("The callback authentication of an integration with %s cannot be read with FERNET_KEYS.", provider)
        return doors.answer(503, "The authentication cannot be checked now. Send it again.")
    except DatabaseError as error:
        logger.warning("A callback could not be stored (%s); it is refused, so that it comes again.", type(error).__name__)
        return doors.answer(503, "It could not be stored now. Send it again.")


def _integration(provider: str, token: str) -> Integration | None:
    """Return whose address this is, with no more of it than the door needs."""
    row = looked_up(LOOK_UP, [provider, token])
    if row is None:
        return None
    pk, is_protected = row
    return Integration.objects.get(pk=pk) if is_protected else Integration(pk=pk, provider=provider, callback_token=token)


def _taken_in(request: HttpRequest, integration: Integration, kind: str) -> JsonResponse:
    """Check and store. Raises SecretUnreadable and DatabaseError."""
    wanted = integration.callback_auth if integration.sealed_callback_auth is not None else ""
    if not is_authorised(wanted, request.headers):
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
    return doors.stored(callbacks.store(integration, kind, raw, request.content_type or "", hashlib.sha256(raw).hexdigest()))


def is_authorised(wanted: str, headers: Mapping[str, str]) -> bool:
    """Tell whether these headers show what is wanted: as Basic authentication, as a header of its own, or as a bearer token."""
    if not wanted:
        return True
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
