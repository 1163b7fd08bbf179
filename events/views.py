"""The public doors of the outbox that customers come through: the click redirect and the open pixel."""

from __future__ import annotations

import base64
import logging

from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from events import machines, rates
from events.states import EngagementKind
from events.tracking import read_token
from events.visits import DESK, Sent, Visit
from integrations.clients import address_of

logger = logging.getLogger(__name__)
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # one transparent point
# As `never_cache` says it.
NEVER_CACHED = {"Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private", "Expires": "0"}


@require_safe
def click(request: HttpRequest, token: str) -> HttpResponse:
    """Send a customer on to the address that the delivery froze, and note the click. A forged token is a plain 404.

    HEAD counts nothing. What cannot be written down keeps nobody from going on.
    """
    sent = _visit(request, token, EngagementKind.CLICK)
    if isinstance(sent, HttpResponse):
        return sent
    if not sent.leads_on:
        raise Http404
    return HttpResponse(status=302, headers=NEVER_CACHED | {"Location": iri_to_uri(sent.destination)})


@require_safe
def pixel(request: HttpRequest, token: str) -> HttpResponse:
    """Answer with a transparent point and note the open. A forged token is a plain 404."""
    sent = _visit(request, token, EngagementKind.OPEN)
    if isinstance(sent, HttpResponse):
        return sent
    return HttpResponse(PIXEL, content_type="image/gif", headers=NEVER_CACHED)


def _visit(request: HttpRequest, token: str, kind: EngagementKind) -> Sent | HttpResponse:
    """Note a visit, by whom as far as can be told; address and agent go no further. Return the delivery, or a refusal.

    Raises Http404 for a token that was not signed here, or is of nobody.
    """
    delivery_id = read_token(token)
    if delivery_id is None:
        raise Http404
    if rates.is_too_often(f"{kind}:{token}"):
        return _later(429, gettext("Too many requests. Try again in a minute."), rates.seconds_left())
    is_machine = machines.is_machine(request.META, address_of(request.META))
    try:
        sent = DESK.hand_in(Visit(delivery_id, kind, timezone.now(), is_machine, is_counted=request.method == "GET"))
    except DatabaseError:
        logger.warning("A tracked link could not be looked up: the database is away.")
        return _later(503, gettext("This link does not work at the moment. Try again in a minute."), 60)
    if sent is None:
        raise Http404
    return sent


def _later(status: int, words: str, seconds: int) -> HttpResponse:
    """Return an answer that asks to come again."""
    return HttpResponse(words, status=status, content_type="text/plain", headers=NEVER_CACHED | {"Retry-After": str(seconds)})
