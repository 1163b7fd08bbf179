"""Reading the statistics of single events: by event, figure and reason, over spans that are asked about together.

As in `events.statistics_reading`: sums of what is folded, rows for the rest, in one statement. Here the sums are of buckets,
since only those know an event and a reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from events.identifiers import first_id_at
from events.models import StatFrontier, StatRecount
from events.sql import db_id, moment
from events.statistics import FROM_DELIVERIES, HANDED_OVER, HANDOVER, HANDOVER_SECONDS, within
from events.statistics_engagement import NOT_COUNTED
from events.statistics_reading import FRONTIER, TRIES, Span, Statement, asked, place_of

FOLDED = """
    SELECT {place}, k.figure, SUM(k.kept + k.gone), k.definition_id, k.reason FROM events_statbucket k
    WHERE k.definition_id IN ({definitions}) AND k.starts_at >= {moment} AND k.starts_at < {moment} GROUP BY 1, 2, 4, 5
"""
NOTED = """
    SELECT {place}, k.figure, -SUM(k.kept), k.definition_id, k.reason FROM events_statrecount r
    JOIN events_statbucket k ON k.starts_at = r.starts_at AND k.integration_id = r.integration_id
    WHERE r.starts_at >= {moment} AND r.starts_at < {moment} AND k.figure IN ({figures}) AND k.definition_id IN ({definitions})
    GROUP BY 1, 2, 4, 5
"""
NOTED_ROWS = """
    SELECT {place}, {figure}, COUNT(*), d.definition_id, {reason} FROM events_statrecount r
    JOIN events_eventdelivery d ON d.id >= r.first_id AND d.id < r.next_id AND d.integration_id = r.integration_id
    WHERE r.starts_at >= {moment} AND r.starts_at < {moment} AND r.starts_at < {moment} AND {which}
      AND d.definition_id IN ({definitions}) GROUP BY 1, 2, 4, 5
"""
LIVE = """
    SELECT {place}, {figure}, COUNT(*), d.definition_id, {reason} FROM events_eventdelivery d
    WHERE d.id >= %s AND d.id < %s AND {which} AND d.definition_id IN ({definitions}) GROUP BY 1, 2, 4, 5
"""


@dataclass(slots=True)
class Figures:
    """The numbers of one event in one span: by figure, and by (figure, reason)."""

    numbers: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, figure: str, reason: str, number: int) -> None:
        """Add a number."""
        self.numbers[figure] += number
        self.reasons[figure, reason] += number


def count(spans: Sequence[Span], definitions: Sequence[int]) -> Sequence[Mapping[int, Figures]]:
    """Return, for each span, the figures of each of these events that has any. Spans are in order, side by side; tests left out.

    Deliveries count in the span in which they were recorded, what came back in the one in which it happened.
    """
    if not spans or not definitions:
        return [{} for _span in spans]
    rows: list[tuple[int, str, int, int, str]] = []
    for _number in range(TRIES):
        frontier = StatFrontier.objects.filter(pk=StatFrontier.ONLY).values_list("folded_until", flat=True).first()
        noted = StatRecount.objects.filter(starts_at__gte=spans[0].since, starts_at__lt=spans[-1].until)
        is_noted = frontier is not None and noted.exists()
        statement = _Question(spans, definitions).statement(frontier, is_noted)
        rows = asked(" UNION ALL ".join(statement.parts), statement.values, is_noted)
        if all(row[1] != "moved" for row in rows if row[0] == -1):
            break
    found: list[dict[int, Figures]] = [{} for _span in spans]
    for place, figure, number, definition, reason in rows:
        if place >= 0 and number:
            found[place].setdefault(definition, Figures()).add(figure, reason, int(number))
    return found


class _Question:
    """The statement in the making."""

    def __init__(self, spans: Sequence[Span], definitions: Sequence[int]) -> None:
        """Prepare what all parts have in common."""
        self.spans = spans
        self.mark = "%s::timestamptz" if connection.vendor == "postgresql" else "%s"
        self.definitions = ", ".join(str(int(pk)) for pk in definitions)
        self.whole = [moment(spans[0].since), moment(spans[-1].until)]
        self.ends = [moment(span.until) for span in spans]
        self.made = Statement([], [])

    def statement(self, frontier: datetime | None, is_noted: bool) -> Statement:
        """Return it. `frontier`: up to where everything is folded, None where nothing is."""
        if frontier is None:
            self.made.add("SELECT -1, 'moved', 0, 0, '' FROM events_statfrontier")
        else:
            self.made.add(FRONTIER.format(moment=self.mark, more=", 0, ''"), moment(frontier))
            self._add(FOLDED, "k.starts_at", [])
            if is_noted:
                self._add(NOTED, "r.starts_at", [], figures=FROM_DELIVERIES)
                for part in _of_rows():
                    self._add(NOTED_ROWS, "r.starts_at", [moment(frontier)], **part)
        self._add_live(frontier)
        self._add_engagements()
        return self.made

    def _add(self, template: str, column: str, more: Sequence[object], **words: str) -> None:
        """Add a part that places rows by a moment."""
        place = place_of(column, self.mark, range(len(self.spans)))
        sql = template.format(place=place, moment=self.mark, definitions=self.definitions, **words)
        self.made.add(sql, *self.ends, *self.whole, *more)

    def _add_live(self, frontier: datetime | None) -> None:
        """Add what is not folded yet."""
        live = [(number, span) for number, span in enumerate(self.spans) if frontier is None or span.until > frontier]
        if not live:
            return
        since = max(live[0][1].since, frontier or live[0][1].since)
        id_ends = [db_id(first_id_at(span.until)) for _number, span in live]
        place = place_of("d.id", "%s", [number for number, _span in live])
        for part in _of_rows():
            sql = LIVE.format(place=place, definitions=self.definitions, **part)
            self.made.add(sql, *id_ends, db_id(first_id_at(since)), id_ends[-1])

    def _add_engagements(self) -> None:
        """Add what came back and is not counted yet."""
        place = place_of("e.occurred_at", self.mark, range(len(self.spans)))
        scope = f"AND d.definition_id IN ({self.definitions})"
        sql = NOT_COUNTED.format(place=place, moment=self.mark, scope=scope, key=", d.definition_id, ''", groups=", 4")
        self.made.add(sql, *self.ends, *self.whole, *self.ends, *self.whole)


def _of_rows() -> list[dict[str, str]]:
    """Return how deliveries are read from their rows: by state and reason, and by the time that the hand-over took."""
    return [
        {"figure": "d.status", "reason": "d.reason", "which": "NOT d.is_test"},
        {"figure": f"'{HANDOVER}'", "reason": within(), "which": HANDED_OVER},
    ]


def percentile(figures: Figures, share: float = 0.95) -> float | None:
    """Return within how many seconds this share of what was sent was handed over, as the bound of the histogram.

    None where nothing was sent; infinity where it lies beyond the last bound.
    """
    counted = [figures.reasons[HANDOVER, str(bound)] for bound in HANDOVER_SECONDS]
    total = figures.numbers[HANDOVER]
    if total <= 0:
        return None
    reached = 0
    for bound, number in zip(HANDOVER_SECONDS, counted, strict=True):
        reached += number
        if reached >= share * total:
            return float(bound)
    return float("inf")
