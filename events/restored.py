"""After a restore: what waited when the backup was made may have been sent since, and nothing in the database knows.

So it is written down as uncertain before any worker starts, as after a worker's sudden end (see `events.sweep`): it is sent again
within its event's budget for that, with the same `nector_delivery_id`, and whatever arrives twice was recorded beforehand.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext_noop as _

from events.models import Call, CallKind, EventDelivery
from events.results import settle
from events.states import State
from integrations.models import Integration
from integrations.providers.base import Outcome, Reading, Verdict

RESTORED = Verdict(
    Outcome.UNCERTAIN, "restored", _("Restored from a backup: it may have been sent between the backup and the restore.")
)
ROWS_AT_ONCE = 1000
WAITING = (State.QUEUED, State.RETRYING, State.HELD)


def doubt(now: datetime) -> int:
    """Mark everything that could have left by now as uncertain. Returns how many deliveries. No worker may be running.

    What is not due before `now` keeps its time: it cannot have left. Cut off, it goes on when it is called again.
    """
    doubted = 0
    for call in Call.objects.filter(ended_at__isnull=True).order_by("pk"):
        under_way = EventDelivery.objects.filter(integration_id=call.integration_id, call=call, status=State.SENDING)
        doubted += under_way.count()
        settle(call, Reading(RESTORED), now)
    for integration in Integration.objects.order_by("pk"):
        rows = EventDelivery.objects.filter(_may_have_left(now), integration=integration)
        while number := _doubt_some(integration, rows, now):
            doubted += number
    return doubted


def _may_have_left(now: datetime) -> Q:
    """Return the condition that a delivery was due, or in a worker's hands."""
    return Q(status=State.SENDING) | Q(status__in=WAITING, next_attempt_at__lte=now)


@transaction.atomic
def _doubt_some(integration: Integration, rows: QuerySet[EventDelivery], now: datetime) -> int:
    """Give some of the rows a call whose end nobody knows. Returns how many."""
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE])
    if keys:
        lease = now + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)
        call = Call.objects.create(
            integration=integration, kind=CallKind.EVENTS, started_at=now, lease_until=lease, records=len(keys)
        )
        EventDelivery.objects.filter(pk__in=keys).update(
            status=State.SENDING, call=call, attempt_count=F("attempt_count") + 1, lease_owner="", lease_until=lease
        )
        settle(call, Reading(RESTORED), now)
    return len(keys)
