"""When people are reminded: the moments that an event's own settings name, in its merchant's time zone. No rows but definitions.

A step is one reminder: so many days before an end, or after a beginning. Its moment is a wall-clock hour of one day, so each
day has exactly one, also where clocks change. A look covers the moments since the last one, and not more than `CATCH_UP`: a
scheduler that was down for a day catches up, one that was down for a month floods nobody.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from events.models import EventDefinition

CATCH_UP = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Step:
    """One reminder of a schedule: `number` is the lead in days, or which reminder it is; `days` from the day it is about."""

    number: int
    days: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """When one event reminds. `is_lead`: before an end; otherwise after a beginning."""

    zone: ZoneInfo
    hour: int
    steps: tuple[Step, ...]  # the latest first: where two are due, it is the one that counts
    is_lead: bool

    def moment(self, step: Step, day: date) -> datetime:
        """Return when somebody is reminded of what ends, or began, on that day."""
        return datetime.combine(day + timedelta(days=step.days), time(self.hour), self.zone).astimezone(UTC)

    def days(self, step: Step, since: datetime, until: datetime) -> tuple[date, date] | None:
        """Return the first and the last day of which the moment lies after `since`, not after `until`; None: there is none."""
        first = self._local(since) - timedelta(days=step.days)
        while self.moment(step, first) <= since:
            first += timedelta(days=1)
        last = self._local(until) - timedelta(days=step.days)
        while self.moment(step, last) > until:
            last -= timedelta(days=1)
        return (first, last) if first <= last else None

    def span(self, first: date, last: date) -> tuple[datetime, datetime]:
        """Return the moments from the beginning of one day to the end of another, the end excluded."""
        return self._midnight(first), self._midnight(last + timedelta(days=1))

    def step_that_counts(self, base: datetime, since: datetime, until: datetime) -> Step | None:
        """Return the latest step due within this time for what ends, or began, at `base`."""
        day = self._local(base)
        return next((step for step in self.steps if since < self.moment(step, day) <= until), None)

    def days_until(self, end: datetime, now: datetime) -> int:
        """Return how many days lie between today and the day of the end."""
        return (self._local(end) - self._local(now)).days

    def _local(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)


def schedule_of(definition: EventDefinition, is_lead: bool) -> Schedule:
    """Return when an event reminds; its integration and merchant must be loaded."""
    if is_lead:
        steps = [Step(lead, -lead) for lead in sorted(definition.leads)]
    else:
        numbers = range(definition.most_reminders, 0, -1)
        steps = [Step(number, definition.wait_days + (number - 1) * definition.gap_days) for number in numbers]
    return Schedule(ZoneInfo(definition.integration.merchant.timezone), definition.remind_hour, tuple(steps), is_lead)


def scheduled(triggers: Collection[str]) -> list[EventDefinition]:
    """Return the events of these triggers that are switched on, with integration and merchant."""
    rows = EventDefinition.objects.filter(trigger__in=triggers, enabled=True, integration__enabled=True)
    return list(rows.select_related("integration__merchant").order_by("pk"))


def window(definition: EventDefinition, now: datetime) -> tuple[datetime, datetime]:
    """Return since when and until when moments are due: up to now, as far back as the last look and `CATCH_UP` allow."""
    cursor = definition.reminder_cursor
    if cursor:  # a look that has not come to its end goes on as it began
        return datetime.fromisoformat(cursor["since"]), datetime.fromisoformat(cursor["until"])
    return max(definition.reminded_until or definition.created_at, now - CATCH_UP), now


def is_due(definition: EventDefinition, is_lead: bool, now: datetime | None = None) -> bool:
    """Tell whether a look at this event would find moments that have come."""
    if definition.reminder_cursor:
        return True
    since, until = window(definition, now or timezone.now())
    plan = schedule_of(definition, is_lead)
    return since < until and any(plan.days(step, since, until) for step in plan.steps)
