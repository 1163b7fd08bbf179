"""The guided start: what a new merchant does first, with ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.translation import gettext as _

from events.admin.base import link, view_of
from events.lookups import over
from events.models import EventDefinition, StatTotal
from events.states import State
from events.statistics import EVERYBODY
from integrations.models import Integration
from nectorbridge.dashboard.figures import deliveries

NEWEST = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `now` marks the first that is not done."""

    title: str
    text: str
    action: str
    url: str
    done: bool
    now: bool


def steps(merchants: Sequence[int] | None, request: HttpRequest) -> list[Step]:
    """Return the three steps as far as these merchants have come."""
    integrations = Integration.objects.filter(initialized_at__isnull=False)
    definitions = EventDefinition.objects.all()
    if merchants is not None:
        integrations = integrations.filter(merchant__in=merchants)
        definitions = definitions.filter(integration__merchant__in=merchants)
    done = (integrations.exists(), definitions.exists(), _has_sent(merchants))
    words = (
        (
            _("Connect a provider"),
            _("Choose the platform you write to your customers with, enter its keys and press Initialize."),
            _("Choose a provider"),
            link("integrations_integration_changelist"),
        ),
        (
            _("Create an event"),
            _("Say which moment is sent, for example when a customer earns %(coins)s.") % {"coins": view_of(request).coins},
            _("Create an event"),
            link("events_eventdefinition_add"),
        ),
        (
            _("Grant %(coins)s and watch them leave") % {"coins": view_of(request).coins},
            _("Open a customer, grant a few, and follow the delivery to the provider."),
            _("Open customers"),
            link("loyalty_customer_changelist"),
        ),
    )
    first = done.index(False) if False in done else len(done)
    return [Step(*step, done=ready, now=number == first) for number, (step, ready) in enumerate(zip(words, done, strict=True))]


def _has_sent(merchants: Sequence[int] | None) -> bool:
    """Tell whether anything was ever sent: by the sums, or by one of the newest rows."""
    sums = StatTotal.objects.filter(figure=State.SENT, scope__in=[EVERYBODY] if merchants is None else merchants)
    newest = over(deliveries(merchants)).order_by("-id").values_list("status", flat=True)[:NEWEST]
    return sums.exists() or State.SENT in newest
