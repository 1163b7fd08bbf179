"""The guided start: what a new merchant does first, with ticks. Read from the rows, per merchant; gone once it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _

from events.admin.base import link
from events.lookups import over
from events.models import EventDefinition, EventDelivery, StatTotal
from events.states import State
from integrations.models import Integration, Merchant
from integrations.roles import keys_with
from nectorbridge.dashboard.figures import deliveries

NEWEST = 1000  # deliveries that are looked at where no sum is told yet
MOST_MERCHANTS = 50  # that are looked at, the newest first
MOST_GUIDES = 6  # that are shown


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `now` marks the first that is not done; `url` is empty where the user may not do it."""

    title: str
    text: str
    action: str
    url: str
    done: bool
    now: bool


@dataclass(frozen=True, slots=True)
class Guide:
    """How far one merchant has come."""

    merchant: Merchant
    steps: Sequence[Step]

    @property
    def done(self) -> int:
        """Return how many steps are done."""
        return sum(step.done for step in self.steps)


def guides(merchants: Sequence[int] | None, user: Any) -> list[Guide]:
    """Return the guide of each of these merchants (None: of all) that has not come to its end, the newest first."""
    begun = [row for row in _rows(merchants)[:MOST_MERCHANTS] if not row.has_sent][:MOST_GUIDES]
    if not begun:
        return []
    connectors = _keys(user, begun, "integrations.change_integration")
    writers = _keys(user, begun, "events.add_eventdefinition")
    return [Guide(row, _steps(row, row.pk in connectors, row.pk in writers)) for row in begun]


def _keys(user: Any, rows: Sequence[Any], permission: str) -> set[int]:
    """Return the merchants at which the user may do that."""
    return {row.pk for row in rows} if user.is_superuser else set(keys_with(user, permission))


def _rows(merchants: Sequence[int] | None) -> QuerySet[Any]:
    """Return the merchants with how far they have come, all in one statement.

    A real delivery that was sent is the end, whatever came before it: tests are purged, and integrations disconnected.
    """
    newest = over(deliveries(None).filter(merchant=OuterRef(OuterRef("pk")))).order_by("-id").values("pk")[:NEWEST]
    sums = StatTotal.objects.filter(scope=OuterRef("pk"), figure=State.SENT)
    tests = EventDelivery.objects.filter(merchant=OuterRef("pk"), is_test=True, status=State.SENT)
    events = EventDefinition.objects.filter(integration__merchant=OuterRef("pk")).order_by("-pk")
    rows = Merchant.objects.order_by("-pk").annotate(
        is_connected=Exists(Integration.objects.filter(merchant=OuterRef("pk"), initialized_at__isnull=False)),
        newest_event=Subquery(events.values("pk")[:1]),
        is_tested=Exists(tests.order_by()),
        has_sent=Exists(sums) | Exists(EventDelivery.objects.filter(pk__in=newest, status=State.SENT)),
    )
    return rows if merchants is None else rows.filter(pk__in=merchants)


def _steps(merchant: Any, may_connect: bool, may_write: bool) -> list[Step]:
    """Return the four steps of one merchant, in its own words."""
    coins = {"coins": merchant.coin_name}
    done = (merchant.is_connected, merchant.newest_event is not None, merchant.is_tested, merchant.has_sent)
    test = link("events_eventdefinition_test", merchant.newest_event) if merchant.newest_event else ""
    words = (
        (
            _("Connect a provider"),
            _("Choose the platform you write to your customers with, enter its keys and press Initialize."),
            _("Choose a provider"),
            link("integrations_integration_changelist", query=f"merchant={merchant.pk}") if may_connect else "",
        ),
        (
            _("Create an event"),
            _("Say which moment is sent, for example when a customer earns %(coins)s.") % coins,
            _("Create an event"),
            link("events_eventdefinition_add") if may_write else "",
        ),
        (
            _("Send a test event"),
            _("Choose a customer, best yourself, look at the exact request, send it, and see the provider's answer."),
            _("Send a test event"),
            test if may_write else "",
        ),
        (
            _("Watch the first real delivery"),
            _("When a customer earns %(coins)s, or you grant them some, the event is listed with what became of it.") % coins,
            _("Open deliveries"),
            link("events_eventdelivery_changelist", query="is_test__exact=0"),
        ),
    )
    first = done.index(False) if False in done else len(done)
    return [Step(*step, done=ready, now=number == first) for number, (step, ready) in enumerate(zip(words, done, strict=True))]
