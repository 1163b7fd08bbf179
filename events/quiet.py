"""Quiet hours of what was recorded before them, and would leave in them: after an outage, a pause, a retry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Case, Q, QuerySet, Value, When
from django.utils import timezone

from events import tallies
from events.claims import Claimed
from events.models import EventDefinition, EventDelivery
from events.policy import quiet_end
from events.states import ConsentPolicy, QuietPolicy, Reason, State
from integrations.models import Integration


@dataclass(frozen=True, slots=True)
class QuietHours:
    """One integration's events that keep to its merchant's quiet hours: those that wait, and those that are then skipped."""

    integration: Integration
    waiting: tuple[int, ...]
    skipped: tuple[int, ...]

    def end(self, now: datetime) -> datetime | None:
        """Return when the quiet hours end in which this moment lies."""
        merchant = self.integration.merchant
        if not (self.waiting or self.skipped) or merchant.quiet_from is None or merchant.quiet_until is None:
            return None
        return quiet_end(now, merchant.quiet_from, merchant.quiet_until, merchant.timezone)

    def left(self, claimed: Sequence[Claimed], owner: str) -> list[Claimed]:
        """Return the claimed deliveries that may leave now; put the others off, or skip them. No transaction may be open."""
        end = self.end(timezone.now())
        if end is None or not claimed:
            return list(claimed)
        mine = EventDelivery.objects.filter(status=State.SENDING, lease_owner=owner, call__isnull=True)
        mine = mine.filter(pk__in=[row.id for row in claimed], is_test=False, replay_of__isnull=True)  # those a person sends
        with transaction.atomic():
            off = _ids(mine.filter(definition__in=self.waiting)) | _ids(mine.filter(definition__in=self.skipped))
            again = Case(When(attempt_count__gt=0, then=Value(State.RETRYING)), default=Value(State.QUEUED))
            free = {"lease_owner": "", "lease_until": None, "reason": Reason.QUIET_HOURS}
            mine.filter(definition__in=self.waiting).update(status=again, next_attempt_at=end, **free)
            number = mine.filter(definition__in=self.skipped).update(status=State.SKIPPED, next_attempt_at=None, **free)
            tallies.add(tallies.skipped_counts(Reason.QUIET_HOURS, number), self.integration.pk)
        return [row for row in claimed if row.id not in off]


def _ids(rows: QuerySet[EventDelivery]) -> set[str]:
    """Return the ids as claims have them."""
    return {str(pk) for pk in rows.values_list("pk", flat=True)}


def quiet_hours_of(integration: Integration) -> QuietHours:
    """Return the quiet hours that an integration's events keep to; none without a query where its merchant has none."""
    if integration.merchant.quiet_from is None:
        return QuietHours(integration, (), ())
    own = EventDefinition.objects.filter(integration=integration).exclude(
        Q(consent_policy=ConsentPolicy.IGNORE) | Q(quiet_policy=QuietPolicy.IGNORE)
    )
    found: dict[str, list[int]] = {QuietPolicy.DELAY: [], QuietPolicy.SKIP: []}
    for pk, policy in own.values_list("pk", "quiet_policy"):
        found[policy].append(pk)
    return QuietHours(integration, tuple(found[QuietPolicy.DELAY]), tuple(found[QuietPolicy.SKIP]))
