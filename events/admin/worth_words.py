"""What an event was worth, in words and numbers that people read: the table, the chart, the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from events.admin import charts
from events.admin.base import grouped
from events.admin.charts import Chart, Series
from events.admin.csv_file import BYTE_ORDER_MARK, line
from events.lift import FEW, Lift, Verdict
from events.models import EventDefinition
from events.worth import Group, Report, Row
from events.worth_measures import COINS, Measure

MINUS = "−"


@dataclass(frozen=True, slots=True)
class Line:
    """One measure as the page shows it. `tone` is a label colour of unfold's."""

    label: str
    words: str
    exposed: str
    exposed_detail: str
    held_out: str
    held_out_detail: str
    lift: str
    interval: str
    verdict: str
    tone: str


def lines(report: Report, definition: EventDefinition) -> list[Line]:
    """Return the table."""
    return [_line(row, report, definition) for row in report.rows]


def _line(row: Row, report: Report, definition: EventDefinition) -> Line:
    """Return one line of the table."""
    merchant, measure = definition.integration.merchant, row.measure
    words = {"coins": merchant.coin_name}
    cells = [_cell(measure, group, merchant) for group in (report.exposed, report.held_out)]
    found = row.found
    return Line(
        str(measure.label) % words,
        str(measure.words) % words,
        *cells[0],
        *cells[1],
        _difference(found.difference, measure, merchant.currency) if found else "",
        _interval(found, measure, merchant.currency) if found else "",
        *_says(row, report, definition),
    )


def _cell(measure: Measure, group: Group, merchant: Any) -> tuple[str, str]:
    """Return a group's figure, and what it is made of."""
    if not group.size:
        return "–", ""
    if measure.is_money:
        total = _money(float(group.revenue))
        return f"{_money(group.sample.mean)} {merchant.currency}", _("%(total)s in all") % {"total": total}
    hits = group.hits[measure.key]
    detail = _("%(hits)s of %(size)s") % {"hits": grouped(hits), "size": grouped(group.size)}
    if measure is COINS and group.coins_named:
        share = _percent(group.coins_spent / group.coins_named)
        values = {"spent": grouped(group.coins_spent), "named": grouped(group.coins_named), "share": share}
        detail += "; " + _("%(spent)s of %(named)s %(coins)s, %(share)s") % (values | {"coins": merchant.coin_name})
    return _percent(hits / group.size), detail


def _percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{number_format(share * 100, 1)} %"


def _money(amount: float) -> str:
    """Return an amount without its currency."""
    return number_format(amount, 2, force_grouping=True)


def _difference(value: float, measure: Measure, currency: str, with_unit: bool = True) -> str:
    """Return a difference with its sign: an amount, or percentage points."""
    text = _money(abs(value)) if measure.is_money else number_format(abs(value) * 100, 1)
    sign = "+" if value > 0 else MINUS if value < 0 else ""
    unit = currency if measure.is_money else _("percentage points")
    return f"{sign}{text} {unit}" if with_unit else f"{sign}{text}"


def _interval(found: Lift, measure: Measure, currency: str) -> str:
    """Return the interval of a difference."""
    low, high = (_difference(value, measure, currency, with_unit=False) for value in (found.low, found.high))
    return _("%(low)s to %(high)s") % {"low": low, "high": high}


def _says(row: Row, report: Report, definition: EventDefinition) -> tuple[str, str]:
    """Return in a sentence what a comparison tells, and its colour."""
    exposed, held_out = report.exposed.size, report.held_out.size
    if row.verdict == Verdict.NONE or not held_out:
        if not definition.holdout_percent and not held_out:
            return _("Nobody is held out, so it has nothing to be compared with."), ""
        return _("There is nobody to compare yet."), ""
    if row.verdict == Verdict.TOO_FEW:
        few = _("Too few held-out customers to tell: %(number)s, and %(least)d are the least.")
        if held_out >= FEW:
            few = _("Too few customers got it to tell: %(number)s, and %(least)d are the least.")
        return few % {"number": grouped(held_out if held_out < FEW else exposed), "least": FEW}, ""
    if row.verdict == Verdict.NO_DIFFERENCE:
        return _("No difference can be told: the interval contains 0."), ""
    is_more = row.verdict == Verdict.MORE
    said = _("More than without it.") if is_more else _("Less than without it.")
    return said, "success" if is_more == row.measure.is_wanted else "danger"


def chart(report: Report, table: list[Line]) -> Chart | None:
    """Return the shares of both groups side by side, of those that have anybody. Amounts of money are in the table only."""
    rows = [(line.label, row.measure.key) for line, row in zip(table, report.rows, strict=True) if not row.measure.is_money]
    groups = [(_("Got it"), report.exposed, charts.SENT), (_("Held out"), report.held_out, charts.QUIET)]
    series = [
        Series(label, [round(group.hits[key] / group.size * 100, 2) for _label, key in rows], colour)
        for label, group, colour in groups
        if group.size
    ]
    labels = [label for label, _key in rows]
    return charts.lying_bars(labels, series, _("figure"), _("% of the customers of each group")) if series else None


def csv_lines(report: Report, definition: EventDefinition, table: list[Line], about: list[Any]) -> Iterator[str]:
    """Yield the table as CSV: words that a spreadsheet will not compute, then plain numbers. `about` stands before each line."""
    names = [_("event"), _("first day"), _("last day"), _("window in days"), _("measure"), _("what it counts"), _("what it says")]
    for group in (_("got it"), _("held out")):
        names += [_("%(group)s: customers") % {"group": group}, _("%(group)s: figure") % {"group": group}]
        names += [_("%(group)s: how many, or how much in all") % {"group": group}]
    names += [_("difference"), _("interval from"), _("interval to"), _("unit")]
    yield BYTE_ORDER_MARK + line(names)
    for shown, row in zip(table, report.rows, strict=True):
        words = line([definition.name, *about, shown.label, shown.words, shown.verdict]).rstrip("\r\n")
        yield f"{words},{line(_numbers(row, report, definition.integration.merchant.currency), is_ours=True)}"


def _numbers(row: Row, report: Report, currency: str) -> list[Any]:
    """Return a measure's numbers: shares as fractions of 1, amounts in the merchant's currency."""
    numbers: list[Any] = []
    for group in (report.exposed, report.held_out):
        is_money, hits = row.measure.is_money, group.hits[row.measure.key]
        figure = group.sample.mean if is_money else hits / group.size if group.size else 0
        numbers += [group.size, round(figure, 6) if group.size else "", group.revenue if is_money else hits]
    found = (row.found.difference, row.found.low, row.found.high) if row.found else ()
    numbers += [round(value, 6) for value in found] or ["", "", ""]
    return [*numbers, currency if row.measure.is_money else _("share")]
