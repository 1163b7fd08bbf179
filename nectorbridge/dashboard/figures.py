"""The numbers of the home page: sums of quarters of an hour, and rows for the newest (see `events.statistics`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from events import statistics_reading
from events.admin import charts
from events.admin.base import grouped, link
from events.admin.charts import Chart, Series
from events.admin.periods import Bar, Period
from events.admin.statistics_values import CLICK, OPEN, PENDING, Tile, change, rate
from events.models import EventDelivery
from events.states import State
from events.statistics_reading import Span

OPENED, CLICKED = f"{OPEN}_first", f"{CLICK}_first"


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened in the period, bar by bar and in all, and in the equal period before it."""

    bars: Sequence[Bar]
    spans: Sequence[Mapping[str, int]]
    before: Mapping[str, int]

    @property
    def total(self) -> Counter[str]:
        """Return the numbers of the whole period."""
        found: Counter[str] = Counter()
        for span in self.spans:
            found.update(span)
        return found


@dataclass(frozen=True, slots=True)
class Aside:
    """A number that is no tile: `text` says what it is."""

    text: str
    url: str


def deliveries(merchants: Sequence[int] | None) -> QuerySet[EventDelivery]:
    """Return the real deliveries of these merchants (None: of all), tests left out."""
    rows = EventDelivery.objects.filter(is_test=False).order_by()
    return rows if merchants is None else rows.filter(merchant__in=merchants)


def count(merchants: Sequence[int] | None, period: Period) -> Figures:
    """Return the numbers of a period and of the one before it: by state of what was recorded, and what came back."""
    bars, before = period.bars, period.previous
    spans = [Span(before.since, before.until), *(Span(bar.since, bar.until) for bar in bars)]
    earlier, *counted = statistics_reading.count(spans, merchants)
    return Figures(bars, counted, earlier)


def tiles(figures: Figures, period: Period) -> list[Tile]:
    """Return the four tiles."""
    now, before = figures.total, Counter(figures.before)
    failed = _("Failed. Open them to see why, and retry.") if now[State.FAILED] else _("Nothing failed.")
    sent, rows = now[State.SENT], _rows([State.SENT], period)
    return [
        _tile(_("Sent"), sent, before[State.SENT], "check_circle", _("The provider has them."), rows),
        _tile(_("Unique opens"), now[OPENED], before[OPENED], "drafts", _of_sent(now[OPENED], sent), rows),
        _tile(_("Unique clicks"), now[CLICKED], before[CLICKED], "ads_click", _of_sent(now[CLICKED], sent), rows),
        _tile(
            _("Needs attention"),
            now[State.FAILED],
            before[State.FAILED],
            "error",
            failed,
            _rows([State.FAILED], period),
        ),
    ]


def asides(figures: Figures, period: Period) -> list[Aside]:
    """Return what waits and what was left out, where there is any."""
    now = figures.total
    waiting, skipped = sum(now[state] for state in PENDING), now[State.SKIPPED]
    found = []
    if waiting:
        words = _("%(number)s on their way, or held until an integration can send")
        found.append(Aside(words % {"number": grouped(waiting)}, _rows(PENDING, period)))
    if skipped:
        words = _("%(number)s left out on purpose, each says why")
        found.append(Aside(words % {"number": grouped(skipped)}, _rows([State.SKIPPED], period)))
    return found


def _tile(label: str, number: int, before: int, icon: str, hint: str, url: str) -> Tile:
    """Return a tile with the change against the period before."""
    return Tile(label, grouped(number), hint, change(number, before), icon, url)


def _of_sent(part: int, sent: int) -> str:
    """Return what share of what was sent this is."""
    share = rate(part, sent)
    return _("%(share)s of what was sent") % {"share": share} if share else _("Each delivery counts once.")


def _rows(states: Sequence[State], period: Period) -> str:
    """Return the address of the rows behind a number."""
    wanted = "&".join(f"status__exact={state.value}" for state in states)
    return link("events_eventdelivery_changelist", query=f"{wanted}&is_test__exact=0&{period.query}")


def chart(figures: Figures, unit: str) -> Chart:
    """Return the lines of what was sent, opened and clicked."""
    series = [
        Series(_("Sent"), [span.get(State.SENT, 0) for span in figures.spans], charts.SENT),
        Series(_("Unique opens"), [span.get(OPENED, 0) for span in figures.spans], charts.OPENED),
        Series(_("Unique clicks"), [span.get(CLICKED, 0) for span in figures.spans], charts.CLICKED),
    ]
    return charts.line([bar.label for bar in figures.bars], series, unit, _("number"))
