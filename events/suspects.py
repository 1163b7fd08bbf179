"""Deliveries whose worker died with them in its hands: one of them may be what kills it, each time anew.

django-q2 never counts a task that takes its process along, and the outbox would claim the same rows for ever. So lost claims
are counted on the row, by the sweep, and what was lost is claimed in smaller and smaller parts, apart from all others: the
innocent get away after the first or the second part, the culprit stands alone, and is given up after some lives of its own.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from events import tallies
from events.claims import Claimed, claim
from events.models import Call, EventDelivery
from events.sql import moment
from events.states import Reason, State

# How many are claimed together after so many lost claims, the first after one. Lost once more after the last: given up.
PARTS = (100, 10, 1, 1, 1)
# Gathered first, so that every planner takes the index of suspects, which is empty nearly always, and not that of what is due.
LEVELS = """
    WITH suspects AS MATERIALIZED (
      SELECT lost_claims, status, next_attempt_at FROM events_eventdelivery WHERE integration_id = %s AND lost_claims > 0)
    SELECT DISTINCT lost_claims FROM suspects WHERE status IN ('queued', 'retrying') AND next_attempt_at <= %s
"""


def parts(integration_id: int) -> list[tuple[int, int]]:
    """Return what may be claimed of deliveries that are due, the least suspect first: lost claims, and how many to claim.

    All of them, since the least suspect may be waiting for an earlier event of their customers that is more so.
    """
    with connection.cursor() as cursor:
        cursor.execute(LEVELS, [integration_id, moment(timezone.now())])
        levels = sorted(level for (level,) in cursor.fetchall())
    return [(level, PARTS[min(level, len(PARTS)) - 1]) for level in levels]


def claim_part(integration_id: int, owner: str, most: int = 0) -> list[Claimed]:
    """Claim the next part of suspect deliveries, `most` if given; an empty list where there are none that may leave."""
    for lost, limit in parts(integration_id):
        if claimed := claim(integration_id, most or limit, owner, lost):
            return claimed
    return []


def return_lost(lost: QuerySet[EventDelivery]) -> int:
    """Put back deliveries whose claim was lost, and give up those that were alone in it too often. Returns how many."""
    free: dict[str, Any] = {"lease_owner": "", "lease_until": None, "lost_claims": F("lost_claims") + 1}
    given_up = _give_up(lost.filter(lost_claims__gte=len(PARTS)), free)
    fresh = lost.filter(attempt_count=0).update(**free, status=State.QUEUED)
    return given_up + fresh + lost.update(**free, status=State.RETRYING)


def _give_up(lost: QuerySet[EventDelivery], free: dict[str, Any]) -> int:
    """Fail these deliveries, and count them by integration. Returns how many."""
    values = free | {"status": State.FAILED, "reason": Reason.INTERNAL, "next_attempt_at": None}
    values["detail"] = _("Each worker that was about to send it ended without a word.")
    given_up = 0
    for integration_id in sorted(set(lost.values_list("integration", flat=True))):
        with transaction.atomic():
            number = lost.filter(integration=integration_id).update(**values)
            tallies.add(tallies.failed_counts(Reason.INTERNAL, number), integration_id)
        given_up += number
    return given_up


def note_lost_call(call: Call) -> None:
    """Note that a worker died with this call under way. Its deliveries become uncertain; what is sent again is sent in parts."""
    on_board = EventDelivery.objects.filter(integration_id=call.integration_id, call=call, status=State.SENDING)
    on_board.update(lost_claims=F("lost_claims") + 1)
