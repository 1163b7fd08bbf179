"""The launch checklist of an integration: what to test before customers get messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from events import launch
from events.admin.base import link
from events.admin.pages import DefinitionPages
from events.models import EventDefinition
from integrations.admin.tabs import tabs_of
from integrations.audit import Act, note
from integrations.models import Integration
from integrations.scope import writable_merchants_of

MOST_DEFINITIONS = 50


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the checklist, and where to go from it."""

    line: launch.Line
    url: str
    action: str


@dataclass(frozen=True, slots=True)
class Tested:
    """An event of the integration, with its test and its journey."""

    definition: EventDefinition
    test_url: str
    journey_url: str


def _way_on(evidence: launch.Evidence | None, may_add: bool) -> tuple[str, str]:
    """Return the address behind a line's evidence, and what the link says. None to a form for those who may only look."""
    if evidence is None or not evidence.about or (evidence.about == launch.NEW_DEFINITION and not may_add):
        return "", ""
    pk = evidence.pk
    ways = {
        launch.INTEGRATION: (link("integrations_integration_change", pk), _("Open the set-up")),
        launch.DEFINITION: (link("events_eventdefinition_change", pk), _("Open the event")),
        launch.DEFINITIONS: (
            link("events_eventdefinition_changelist", query=f"integration__id__exact={pk}"),
            _("See the events"),
        ),
        launch.NEW_DEFINITION: (link("events_eventdefinition_add", query=f"integration={pk}"), _("Create an event")),
        launch.TEST: (link("events_eventdefinition_test", pk), _("Send a test event")),
        launch.JOURNEY: (link("events_eventdefinition_journey", pk), _("Copy the tracked link")),
        launch.DELIVERY: (link("events_eventdelivery_change", pk), _("Open the delivery")),
    }
    return ways[evidence.about]


class LaunchMixin(DefinitionPages):
    """The checklist's page, and the ticking of a line."""

    def own_paths(self) -> list[tuple[str, Any, str]]:
        """Add the page and its verb."""
        own = [
            ("launch/<int:integration_pk>/", self.launch_view, "events_launch"),
            ("launch/<int:integration_pk>/tick/", self.tick_view, "events_launch_tick"),
        ]
        return [*super().own_paths(), *own]

    def launch_view(self, request: HttpRequest, integration_pk: int) -> HttpResponse:
        """Show the checklist."""
        integration = self.find_integration(request, integration_pk)
        may_add = self.has_add_permission(request)
        rows = [Row(line, *_way_on(line.evidence, may_add)) for line in launch.lines(integration)]
        done = sum(row.line.done for row in rows)
        definitions = integration.definitions.order_by("-enabled", "pk")[:MOST_DEFINITIONS]
        context = {
            "title": str(integration),
            "tabs": tabs_of(integration, "launch"),
            "events": [
                Tested(row, link("events_eventdefinition_test", row.pk), link("events_eventdefinition_journey", row.pk))
                for row in definitions
            ],
            "rows": rows,
            "done": done,
            "next": next((row for row in rows if not row.line.done), None),
            "may_tick": self._may_tick(request, integration),
            "caveats": integration.contract.guide.caveats,
        }
        return self.page(request, "events/launch.html", integration, context)

    def tick_view(self, request: HttpRequest, integration_pk: int) -> HttpResponse:
        """POST: tick a line by hand, or take the tick back. A GET leads to the page."""
        integration = self.find_integration(request, integration_pk)
        if request.method == "POST":
            if not self._may_tick(request, integration):
                raise PermissionDenied
            who: Any = request.user
            done = request.POST.get("done") == "1"
            if not launch.tick(integration, request.POST.get("key", ""), done, who.get_full_name() or who.get_username()):
                raise Http404
            note(Act.CHANGED, integration, fields=[gettext_noop("launch checklist")], done=int(done))
            messages.success(request, _("Ticked.") if done else _("The tick is taken back."))
        return HttpResponseRedirect(link("events_launch", integration.pk))

    def _may_tick(self, request: HttpRequest, integration: Integration) -> bool:
        """Tell whether this user may change things of the integration's merchant."""
        return writable_merchants_of(request.user).filter(pk=integration.merchant_id).exists()
