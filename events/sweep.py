"""The sweep: what must not depend on anybody remembering. Run by every worker's supervisor every few seconds.

It ends calls whose worker died, puts back what was claimed and never sent, holds and releases queues by the state of
their integration, and rings for what is due. All of it is safe to run twice, at the same time, or on many machines.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from events import bell, bulk, holding, notices, rotating, staleness, suspects, syncing, turns
from events.lookups import IS_DUE
from events.models import Call, EventDelivery
from events.results import settle
from events.states import State
from integrations.hygiene import about
from integrations.models import Integration, Status
from integrations.providers.base import Outcome, Reading, Verdict
from integrations.verification import recover_interrupted

logger = logging.getLogger(__name__)
CALLS_PER_SWEEP = 200
LEASE_GRACE = timedelta(seconds=1)  # clocks of several machines differ a little
NO_ANSWER = Verdict(Outcome.UNCERTAIN, "no_answer", _("The worker stopped before the answer was written down."))


@dataclass(slots=True)
class Swept:
    """What one sweep did, in numbers."""

    calls_ended: int = 0  # of workers that died; their deliveries became uncertain
    claims_returned: int = 0
    held: int = 0
    released: int = 0
    rung: int = 0  # drains asked for


def sweep() -> int:
    """Do all of it once. Returns how many drains were asked for."""
    return sweep_into(Swept())


def sweep_into(swept: Swept) -> int:
    """Do all of it once, and note what was done, also where an error ends it early. Returns how many drains were asked for."""
    now = timezone.now()
    recover_interrupted(now)
    swept.calls_ended = end_abandoned_calls(now)
    swept.claims_returned = return_abandoned_claims(now)
    staleness.expire(now)
    swept.released, swept.held = align_queues()
    turns.forget_lost_places(now)
    swept.rung = ring_for_due(now)
    notices.look(now)
    bulk.RUNS.ring_for_due(now)
    rotating.RUNS.ring_for_due(now)
    syncing.ring_for_pushes(now)  # last: it asks the host, whose errors must not keep an event waiting
    return swept.rung


def end_abandoned_calls(now: datetime) -> int:
    """Write down that nobody knows what became of calls whose lease is over. Returns how many."""
    abandoned = Call.objects.filter(ended_at__isnull=True, lease_until__lt=now - LEASE_GRACE)
    ended = 0
    for call in abandoned[:CALLS_PER_SWEEP]:
        with transaction.atomic():
            suspects.note_lost_call(call)
            is_mine = settle(call, Reading(NO_ANSWER), now)
        if is_mine:
            ended += 1
            logger.warning(
                "Call %s of integration %s was abandoned; its deliveries are uncertain.",
                call.pk,
                call.integration_id,
                extra=about(call.integration_id, call.pk),
            )
    return ended


def return_abandoned_claims(now: datetime) -> int:
    """Put back deliveries that were claimed by a worker that died before it sent them. No try was used.

    They are claimed in smaller parts from then on, since one of them may be what killed it.
    """
    lost = EventDelivery.objects.filter(status=State.SENDING, lease_until__lt=now - LEASE_GRACE)
    landed = lost.filter(call__ended_at__isnull=False).update(status=State.RETRYING, lease_owner="", lease_until=None)
    return landed + suspects.return_lost(lost.filter(call__isnull=True))


def align_queues() -> tuple[int, int]:
    """Hold what waits for an integration that cannot send; release what is held for one that can.

    Returns how many deliveries were released, and how many held.
    """
    held = EventDelivery.objects.filter(integration=OuterRef("pk"), status=State.HELD)
    waiting = EventDelivery.objects.filter(IS_DUE, integration=OuterRef("pk"))
    able = Q(status__in=(Status.ACTIVE, Status.INITIALIZING), enabled=True)
    to_release = Integration.objects.filter(able).filter(Exists(held)).values_list("pk", flat=True)
    released = sum(holding.release(pk) for pk in to_release)
    to_hold = Integration.objects.exclude(able).filter(Exists(waiting)).values_list("pk", flat=True)
    return released, sum(holding.hold(pk) for pk in to_hold)


def ring_for_due(now: datetime) -> int:
    """Ring for every integration that can send and has something due, the one that waits longest first. Returns for how many."""
    return sum(bell.ring(pk) for pk in turns.with_due_rows(now).values_list("pk", flat=True))
