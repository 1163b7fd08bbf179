"""What the statistics pages say, as values: sums of figures, rates, changes, the funnel, and the tables behind the charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from events.admin.base import grouped
from events.states import EngagementKind, Reason, State
from events.statistics_detail import Figures, percentile
from events.timeline import whole

PENDING = (State.QUEUED, State.RETRYING, State.SENDING, State.HELD)
OPEN, CLICK = EngagementKind.OPEN.value, EngagementKind.CLICK.value
CAME_BACK = (
    (OPEN, gettext_lazy("Opens")),
    (CLICK, gettext_lazy("Clicks")),
    (EngagementKind.DELIVERED.value, gettext_lazy("Messages delivered")),
    (EngagementKind.UNSUBSCRIBE.value, gettext_lazy("Unsubscribes")),
    (EngagementKind.COMPLAINT.value, gettext_lazy("Complaints")),
    (EngagementKind.BOUNCE.value, gettext_lazy("Bounces")),
    (EngagementKind.UNKNOWN.value, gettext_lazy("Not understood")),
)
ALWAYS = (OPEN, CLICK)
MOST_TIMES = 20  # times as much as before, up to which a change is told in per cent
LONG = 1.0  # seconds from which on a bound is told in words of time


def total(figures: Iterable[Figures]) -> Figures:
    """Return several figures added up."""
    found = Figures()
    for item in figures:
        found.numbers.update(item.numbers)
        found.reasons.update(item.reasons)
    return found


def recorded(figures: Figures) -> int:
    """Return how many deliveries were recorded, whatever became of them."""
    return sum(figures.numbers[state] for state in State.values)


def pending(figures: Figures) -> int:
    """Return how many have not come to an end."""
    return sum(figures.numbers[state] for state in PENDING)


def first(figures: Figures, kind: str) -> int:
    """Return how many deliveries were opened (or clicked) by a person for the first time."""
    return figures.numbers[f"{kind}_first"]


def machine(figures: Figures, kind: str) -> int:
    """Return how many opens (or clicks) were a machine's."""
    return figures.numbers[f"{kind}_machine"]


def rate(part: int, of: int) -> str:
    """Return a share in words: “12.5 %”; empty where it is a share of nothing."""
    return f"{100 * part / of:.1f} %" if of else ""


def change(now: int, before: int) -> str:
    """Return the change against the equal period before: “+12 % against 100 in the period before”."""
    if not before:
        return _("nothing in the period before") if now else ""
    if now > MOST_TIMES * before:  # a share of next to nothing says nothing
        return _("against %(before)s in the period before") % {"before": grouped(before)}
    share = round(100 * (now - before) / before)
    same = _("no change") if now == before else _("about the same")
    words = _("%(share)s against %(before)s in the period before")
    return words % {"share": f"{share:+d} %" if share else same, "before": grouped(before)}


def handover(figures: Figures) -> str:
    """Return within which time 95 of 100 were handed over, in words; empty where nothing was sent."""
    seconds = percentile(figures)
    if seconds is None:
        return ""
    if seconds == float("inf"):
        return _("more than a day")
    if seconds < LONG:
        return _("%(number)d ms") % {"number": round(seconds * 1000)}
    return whole(timedelta(seconds=seconds))


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that leads to the rows behind it."""

    label: str
    text: str
    hint: str
    change: str
    icon: str
    url: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: what, how many, its share, the rows behind it, and how long its bar is in per cent."""

    label: str
    number: int
    share: str
    url: str = ""
    width: int = 0

    @property
    def text(self) -> str:
        """Return the number as people write it."""
        return grouped(self.number)


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses of the lists behind numbers: `base` is the list with its filters, to which more are added."""

    base: str

    def rows(self, **filters: str) -> str:
        """Return the address with these filters, each exact."""
        return self.base + "".join(f"&{name}__exact={value}" for name, value in filters.items())


def tiles(now: Figures, before: Figures, links: Links) -> list[Tile]:
    """Return the four numbers on top."""
    sent, earlier = now.numbers[State.SENT], before.numbers[State.SENT]
    took = handover(now)
    of_sent = _("%(share)s of what was sent")
    opens, clicks = first(now, OPEN), first(now, CLICK)
    sent_rows = links.rows(status=State.SENT)
    return [
        Tile(_("Sent"), grouped(sent), _("The provider has them."), change(sent, earlier), "check_circle", sent_rows),
        _engaged(_("Unique opens"), opens, first(before, OPEN), of_sent, rate(opens, sent), "drafts", sent_rows),
        _engaged(_("Unique clicks"), clicks, first(before, CLICK), of_sent, rate(clicks, sent), "ads_click", sent_rows),
        Tile(
            _("Handed over within"),
            took or "–",
            _("from the activity, 95 of 100 of them") if took else _("Nothing was sent."),
            _("%(span)s in the period before") % {"span": handover(before)} if handover(before) else "",
            "timer",
            sent_rows,
        ),
    ]


def _engaged(label: str, number: int, before: int, words: str, share: str, icon: str, url: str) -> Tile:
    """Return the tile of opens or clicks."""
    hint = words % {"share": share} if share else _("Each delivery counts once.")
    return Tile(label, grouped(number), hint, change(number, before), icon, url)


def funnel(figures: Figures, links: Links) -> list[Row]:
    """Return the way from the activity to the click, each step with its share of the first."""
    all_of_them = recorded(figures)
    steps = [
        (_("Recorded"), all_of_them, links.base),
        (_("Sent"), figures.numbers[State.SENT], links.rows(status=State.SENT)),
        (_("Opened"), first(figures, OPEN), links.rows(status=State.SENT)),
        (_("Clicked"), first(figures, CLICK), links.rows(status=State.SENT)),
    ]
    return [_step(label, number, all_of_them, url) for label, number, url in steps]


def _step(label: str, number: int, of: int, url: str) -> Row:
    """Return a line with a bar."""
    return Row(label, number, rate(number, of), url, min(100, round(100 * number / of)) if of else 0)


def not_sent(figures: Figures, links: Links) -> list[tuple[str, list[Row]]]:
    """Return what was skipped and what failed, each by its reason, and what has not come to an end."""
    of = recorded(figures)
    names = dict(Reason.choices)
    groups = []
    for heading, state in ((_("Skipped"), State.SKIPPED), (_("Failed"), State.FAILED)):
        counts = [(reason, number) for (figure, reason), number in figures.reasons.items() if figure == state and number]
        rows = [
            _step(str(names.get(reason, reason or _("No reason was noted"))), number, of, _by_reason(links, state, reason))
            for reason, number in sorted(counts, key=lambda item: (-item[1], item[0]))
        ]
        groups.append((heading, rows))
    waiting = [(str(state.label), figures.numbers[state], links.rows(status=state)) for state in (*PENDING, State.CANCELLED)]
    groups.append((_("Not at an end, or withdrawn"), [_step(label, number, of, url) for label, number, url in waiting if number]))
    return [(heading, rows) for heading, rows in groups if rows]


def _by_reason(links: Links, state: str, reason: str) -> str:
    """Return the list of what has this state for this reason."""
    return links.rows(status=state, reason=reason) if reason else links.rows(status=state)


@dataclass(frozen=True, slots=True)
class Came:
    """What came back of one kind: by people, of how many deliveries, and by machines."""

    label: str
    people: str
    unique: str
    machines: str


def came_back(figures: Figures) -> list[Came]:
    """Return what came back, people and machines apart; of kinds that never came, only opens and clicks."""
    found = []
    for kind, label in CAME_BACK:
        numbers = (figures.numbers[kind], first(figures, kind), machine(figures, kind))
        if any(numbers) or kind in ALWAYS:
            found.append(Came(str(label), *map(grouped, numbers)))
    return found


@dataclass(frozen=True, slots=True)
class Line:
    """The numbers of one day, or of one event, in the order of `COLUMNS`."""

    label: str
    cells: tuple[int, ...]
    url: str = ""


COLUMNS: tuple[tuple[str, Any], ...] = (
    ("recorded", gettext_lazy("recorded")),
    ("sent", gettext_lazy("sent")),
    ("failed", gettext_lazy("failed")),
    ("skipped", gettext_lazy("skipped")),
    ("pending", gettext_lazy("pending")),
    ("unique_opens", gettext_lazy("unique opens")),
    ("opens", gettext_lazy("opens")),
    ("machine_opens", gettext_lazy("opens by machines")),
    ("unique_clicks", gettext_lazy("unique clicks")),
    ("clicks", gettext_lazy("clicks")),
    ("machine_clicks", gettext_lazy("clicks by machines")),
    ("unsubscribes", gettext_lazy("unsubscribes")),
    ("complaints", gettext_lazy("complaints")),
)


def cells(figures: Figures) -> tuple[int, ...]:
    """Return a line's numbers, in the order of `COLUMNS`."""
    numbers = figures.numbers
    return (
        recorded(figures),
        numbers[State.SENT],
        numbers[State.FAILED],
        numbers[State.SKIPPED],
        pending(figures),
        first(figures, OPEN),
        numbers[OPEN],
        machine(figures, OPEN),
        first(figures, CLICK),
        numbers[CLICK],
        machine(figures, CLICK),
        numbers[EngagementKind.UNSUBSCRIBE.value],
        numbers[EngagementKind.COMPLAINT.value],
    )


def by_event(counted: Sequence[Mapping[int, Figures]]) -> dict[int, Figures]:
    """Return the figures of each event over all spans."""
    found: dict[int, Figures] = {}
    for span in counted:
        for definition, figures in span.items():
            mine = found.setdefault(definition, Figures())
            mine.numbers.update(figures.numbers)
            mine.reasons.update(figures.reasons)
    return found
