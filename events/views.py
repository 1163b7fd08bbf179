"""The public doors of the outbox: the click redirect and the open pixel."""

from __future__ import annotations

import base64
import logging

from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.encoding import iri_to_uri
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from events.models import Engagement, EventDelivery
from events.states import EngagementKind
from events.tracking import read_token
from integrations.hygiene import about

logger = logging.getLogger(__name__)
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # one transparent point
WEB_SCHEMES = ("http://", "https://")


@never_cache
@require_safe
def click(request: HttpRequest, token: str) -> HttpResponse:
    """Send a customer on to the address that the delivery froze, and note the click. A forged token is a plain 404."""
    delivery = _delivery(token)
    if delivery is None or not delivery.destination.startswith(WEB_SCHEMES) or not delivery.destination.isprintable():
        raise Http404
    _note(request, delivery, EngagementKind.CLICK, "link")
    response = HttpResponse(status=302)
    response["Location"] = iri_to_uri(delivery.destination)
    return response


@never_cache
@require_safe
def pixel(request: HttpRequest, token: str) -> HttpResponse:
    """Answer with a transparent point and note the open. A forged token is a plain 404."""
    delivery = _delivery(token)
    if delivery is None:
        raise Http404
    _note(request, delivery, EngagementKind.OPEN, "pixel")
    return HttpResponse(PIXEL, content_type="image/gif")


def _delivery(token: str) -> EventDelivery | None:
    """Return the delivery whose token this is."""
    delivery_id = read_token(token)
    return EventDelivery.objects.only("id", "destination").filter(pk=delivery_id).first() if delivery_id else None


def _note(request: HttpRequest, delivery: EventDelivery, kind: str, source: str) -> None:
    """Insert what happened. HEAD counts nothing, and a failed write never stops the answer."""
    if request.method == "HEAD":
        return
    try:
        Engagement.objects.create(delivery=delivery, kind=kind, source=source)
    except DatabaseError:
        logger.exception(
            "An engagement with delivery %s could not be written.",
            delivery.pk,
            extra=about(delivery.integration_id, delivery=delivery.pk),
        )
