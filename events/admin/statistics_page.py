"""The statistics of an integration, or of one event: the funnel, lines over time, people and machines apart, and a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from events.admin import charts
from events.admin.base import link
from events.admin.charts import Chart, Series
from events.admin.csv_file import BYTE_ORDER_MARK, download, line
from events.admin.pages import DefinitionPages, tabs
from events.admin.periods import Bar, Period, choices, period_of
from events.admin.statistics_values import (
    CLICK,
    COLUMNS,
    OPEN,
    Line,
    Links,
    by_event,
    came_back,
    cells,
    first,
    funnel,
    not_sent,
    recorded,
    tiles,
    total,
)
from events.lookups import has_any
from events.models import EventDefinition
from events.states import State
from events.statistics_detail import Figures, count
from events.statistics_reading import Span
from integrations.admin.tabs import tabs_of
from integrations.audit import Act, note
from integrations.models import Integration

MOST_BARS = 12  # events in a chart; the table has all of them


class StatisticsMixin(DefinitionPages):
    """The two pages and their files."""

    def own_paths(self) -> list[tuple[str, Any, str]]:
        """Add the pages."""
        own = [
            ("statistics/<int:integration_pk>/", self.integration_statistics_view, "events_statistics"),
            ("<path:object_id>/statistics/", self.definition_statistics_view, "events_eventdefinition_statistics"),
        ]
        return [*super().own_paths(), *own]

    def integration_statistics_view(self, request: HttpRequest, integration_pk: int) -> HttpResponseBase:
        """Show an integration's statistics; with `format=csv`, a line for each event and day."""
        integration = self.find_integration(request, integration_pk)
        definitions = list(integration.definitions.order_by("trigger", "pk"))
        context = {"title": str(integration), "tabs": tabs_of(integration, "statistics")}
        return self._statistics(request, integration, definitions, context, f"integration__id__exact={integration.pk}")

    def definition_statistics_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Show one event's statistics."""
        definition = self.find(request, object_id)
        integration = definition.integration
        context = {
            "title": definition.name,
            "definition": definition,
            "tabs": tabs(definition, integration, "statistics"),
        }
        return self._statistics(request, integration, [definition], context, f"definition__id__exact={definition.pk}")

    def _statistics(
        self,
        request: HttpRequest,
        integration: Integration,
        definitions: Sequence[EventDefinition],
        context: dict[str, Any],
        chosen: str,
    ) -> HttpResponseBase:
        """Show the page, or send the file."""
        period = period_of(request.GET, integration.merchant.timezone, timezone.now())
        bars = period.bars
        spans = [Span(bar.since, bar.until) for bar in bars]
        before = Span(period.previous.since, period.previous.until)
        earlier, *counted = count([before, *spans], [definition.pk for definition in definitions])
        if request.GET.get("format") == "csv":
            name = f"statistics-{integration.pk}-{period.first}-{period.last}.csv"
            note(Act.EXPORT, context.get("definition") or integration, what=gettext_noop("statistics"))
            return download(name, _file(bars, definitions, counted))
        events = by_event(counted)
        now, previous = total(events.values()), total(earlier.values())
        is_empty = not recorded(now) and not any(now.numbers.values())
        query = f"{chosen}&is_test__exact=0&{period.query}"
        links = Links(link("events_eventdelivery_changelist", query=query))
        context |= {
            "period": period,
            "periods": choices(period),
            "tiles": tiles(now, previous, links),
            "funnel": funnel(now, links),
            "not_sent": not_sent(now, links),
            "came_back": came_back(now),
            "over_time": over_time(bars, str(period.unit), [total(span.values()) for span in counted]),
            "columns": [label for _name, label in COLUMNS],
            "days": [Line(bar.label, cells(total(span.values()))) for bar, span in zip(bars, counted, strict=True)][::-1],
            "is_empty": is_empty,
            "has_history": not is_empty or any(map(has_any, definitions)),
            "csv_url": f"?{period.asked}&format=csv",
        }
        if self.has_add_permission(request):
            context["new_event_url"] = link("events_eventdefinition_add", query=f"integration={integration.pk}")
        if "definition" not in context:
            context |= _compared(definitions, events, period)
        return self.page(request, "events/statistics.html", integration, context)


def over_time(bars: Sequence[Bar], unit: str, spans: Sequence[Figures]) -> Chart:
    """Return the lines of what was sent, opened and clicked."""
    series = [
        Series(_("Sent"), [span.numbers[State.SENT] for span in spans], charts.SENT),
        Series(_("Unique opens"), [first(span, OPEN) for span in spans], charts.OPENED),
        Series(_("Unique clicks"), [first(span, CLICK) for span in spans], charts.CLICKED),
    ]
    return charts.line([bar.label for bar in bars], series, unit, _("number"))


def _compared(definitions: Sequence[EventDefinition], events: dict[int, Figures], period: Period) -> dict[str, Any]:
    """Return the events side by side, as bars and as a table."""
    rows = [(definition, events.get(definition.pk, Figures())) for definition in definitions]
    rows.sort(key=lambda row: (-row[1].numbers[State.SENT], -recorded(row[1]), row[0].pk))
    drawn = [row for row in rows if recorded(row[1])][:MOST_BARS]
    series = [
        Series(_("Sent"), [figures.numbers[State.SENT] for _row, figures in drawn], charts.SENT),
        Series(_("Unique opens"), [first(figures, OPEN) for _row, figures in drawn], charts.OPENED),
        Series(_("Unique clicks"), [first(figures, CLICK) for _row, figures in drawn], charts.CLICKED),
    ]
    names = [definition.name for definition, _figures in drawn]
    return {
        "by_event": charts.bars(names, series, _("event"), _("number")) if len(drawn) > 1 else None,
        "events": [Line(row.name, cells(figures), _page(row, period)) for row, figures in rows],
    }


def _page(definition: EventDefinition, period: Period) -> str:
    """Return the address of an event's own statistics of the same period."""
    return link("events_eventdefinition_statistics", definition.pk, query=period.asked)


def _file(bars: Sequence[Bar], definitions: Sequence[EventDefinition], counted: Sequence[Any]) -> Iterator[str]:
    """Yield a header, and a line for each event and each day (or hour) in which it had any number."""
    yield BYTE_ORDER_MARK + line([_("from"), _("until"), _("event"), _("trigger"), *(str(label) for _name, label in COLUMNS)])
    for bar, span in zip(bars, counted, strict=True):
        for definition in definitions:
            if (figures := span.get(definition.pk)) and any(numbers := cells(figures)):
                times = [at.isoformat(timespec="minutes") for at in (bar.since, bar.until)]
                yield line([*times, definition.name, definition.trigger, *numbers])
