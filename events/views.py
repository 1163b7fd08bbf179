"""The public doors of the outbox that customers come through: the click redirect and the open pixel."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from uuid import UUID

from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from events import machines, rates
from events.engaging import DESK, Came
from events.host import Consent, get_host
from events.sql import db_id, looked_up
from events.states import EngagementKind
from events.tracking import read_token
from integrations.clients import address_of
from integrations.hygiene import about
from integrations.models import OpenTracking
from integrations.providers import channel_of

logger = logging.getLogger(__name__)
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # one transparent point
WEB_SCHEMES = ("http://", "https://")
# Said in SQL, since customers wait for it: building the same query through the ORM costs more than the query.
LOOK_UP = """
    SELECT d.destination, d.integration_id, i.provider, d.merchant_id, m.open_tracking, d.customer_ref
    FROM events_eventdelivery d
    JOIN integrations_integration i ON i.id = d.integration_id
    JOIN integrations_merchant m ON m.id = d.merchant_id
    WHERE d.id = %s
"""
# As `never_cache` says it.
NEVER_CACHED = {"Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private", "Expires": "0"}


@dataclass(frozen=True, slots=True)
class Sent:
    """What a door must know of the delivery whose token it was given."""

    pk: UUID
    destination: str
    integration_id: int
    provider: str
    merchant_id: int
    open_tracking: str
    customer_ref: str


@require_safe
def click(request: HttpRequest, token: str) -> HttpResponse:
    """Send a customer on to the address that the delivery froze, and note the click. A forged token is a plain 404.

    HEAD counts nothing. What cannot be written down keeps nobody from going on.
    """
    try:
        sent = _sent(token)
    except DatabaseError:
        return _unavailable()
    if not sent.destination.startswith(WEB_SCHEMES) or not sent.destination.isprintable():
        raise Http404
    if rates.is_too_often(f"click:{token}"):
        return _too_often()
    if request.method == "GET":
        _note(request, sent, EngagementKind.CLICK, "link")
    return HttpResponse(status=302, headers=NEVER_CACHED | {"Location": iri_to_uri(sent.destination)})


@require_safe
def pixel(request: HttpRequest, token: str) -> HttpResponse:
    """Answer with a transparent point and note the open. A forged token is a plain 404."""
    try:
        sent = _sent(token)
    except DatabaseError:
        return _unavailable()
    if rates.is_too_often(f"open:{token}"):
        return _too_often()
    if request.method == "GET" and _may_note_opens(sent):
        _note(request, sent, EngagementKind.OPEN, "pixel")
    return HttpResponse(PIXEL, content_type="image/gif", headers=NEVER_CACHED)


def _sent(token: str) -> Sent:
    """Return the delivery whose token this is. Raises Http404 for a token that was not signed here, or is of nobody."""
    delivery_id = read_token(token)
    if delivery_id is None:
        raise Http404
    row = looked_up(LOOK_UP, [db_id(delivery_id)])
    if row is None:
        raise Http404
    return Sent(delivery_id, *row)


def _may_note_opens(sent: Sent) -> bool:
    """Tell whether the merchant counts opens, and this customer has not said no (or has said yes, where that is asked for)."""
    if sent.open_tracking == OpenTracking.NOBODY:
        return False
    try:
        said = get_host().consents(sent.merchant_id, [sent.customer_ref], channel_of(sent.provider)).get(sent.customer_ref)
    except DatabaseError:
        return False
    return said == Consent.SUBSCRIBED or (said != Consent.UNSUBSCRIBED and sent.open_tracking == OpenTracking.EVERYBODY)


def _note(request: HttpRequest, sent: Sent, kind: str, source: str) -> None:
    """Insert what happened, by whom as far as can be told; address and agent go no further."""
    is_machine = machines.is_machine(request.headers, address_of(request.META))
    try:
        DESK.hand_in(Came(sent.pk, kind, source, timezone.now(), is_machine))
    except DatabaseError:
        extra = about(sent.integration_id, delivery=sent.pk)
        logger.exception("An engagement with delivery %s could not be written.", sent.pk, extra=extra)


def _too_often() -> HttpResponse:
    """Return the answer to somebody who asks too often."""
    return _later(429, gettext("Too many requests. Try again in a minute."), rates.seconds_left())


def _unavailable() -> HttpResponse:
    """Return the answer while the database is away: there is no knowing where the link leads."""
    logger.warning("A tracked link could not be looked up: the database is away.")
    return _later(503, gettext("This link does not work at the moment. Try again in a minute."), 60)


def _later(status: int, words: str, seconds: int) -> HttpResponse:
    """Return an answer that asks to come again."""
    return HttpResponse(words, status=status, content_type="text/plain", headers=NEVER_CACHED | {"Retry-After": str(seconds)})
