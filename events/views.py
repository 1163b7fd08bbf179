"""The public doors of the outbox that customers come through: the click redirect and the open pixel."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.encoding import iri_to_uri
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from events import machines, rates
from events.engaging import DESK, Came
from events.host import Consent, get_host
from events.models import EventDelivery
from events.states import EngagementKind
from events.tracking import read_token
from integrations.hygiene import about
from integrations.models import OpenTracking
from integrations.providers import channel_of

logger = logging.getLogger(__name__)
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # one transparent point
WEB_SCHEMES = ("http://", "https://")
OF_INTEGRATION = ("integration_id", "integration__provider")
COLUMNS = ("pk", "destination", *OF_INTEGRATION, "merchant_id", "merchant__open_tracking", "customer_ref")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a door must know of the delivery whose token it was given."""

    pk: Any
    destination: str
    integration_id: int
    provider: str
    merchant_id: int
    open_tracking: str
    customer_ref: str


@never_cache
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
    response = HttpResponse(status=302)
    response["Location"] = iri_to_uri(sent.destination)
    return response


@never_cache
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
    return HttpResponse(PIXEL, content_type="image/gif")


def _sent(token: str) -> Sent:
    """Return the delivery whose token this is. Raises Http404 for a token that was not signed here, or is of nobody."""
    delivery_id = read_token(token)
    row = EventDelivery.objects.filter(pk=delivery_id).values_list(*COLUMNS).first() if delivery_id else None
    if row is None:
        raise Http404
    return Sent(*row)


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
    is_machine = machines.is_machine(request.headers, request.META.get("REMOTE_ADDR", ""))
    try:
        DESK.hand_in(Came(sent.pk, kind, source, timezone.now(), is_machine))
    except DatabaseError:
        extra = about(sent.integration_id, delivery=sent.pk)
        logger.exception("An engagement with delivery %s could not be written.", sent.pk, extra=extra)


def _too_often() -> HttpResponse:
    """Return the answer to somebody who asks too often."""
    return _later(429, "Too many requests. Try again in a minute.", rates.seconds_left())


def _unavailable() -> HttpResponse:
    """Return the answer while the database is away: there is no knowing where the link leads."""
    logger.warning("A tracked link could not be looked up: the database is away.")
    return _later(503, "This link does not work at the moment. Try again in a minute.", 60)


def _later(status: int, words: str, seconds: int) -> HttpResponse:
    """Return an answer that asks to come again."""
    return HttpResponse(words, status=status, content_type="text/plain", headers={"Retry-After": str(seconds)})
