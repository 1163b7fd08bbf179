"""What an event would be, before it is saved: its name there, its properties, its exact request. Nothing is written."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from events.admin.pages import DefinitionPages
from events.admin.requests import preview
from events.models import EventDefinition
from events.timeline import fires_when
from events.triggers import SPELLINGS, find, topic_of
from integrations.models import Integration
from integrations.providers.base import InvalidName

LONGEST_NAME = EventDefinition._meta.get_field("name").max_length or 0


def check_name(integration: Integration, trigger: str, name: str) -> dict[str, str]:
    """Return the name as it leaves, the name it gets if none is typed, and what is wrong with it (empty: nothing)."""
    contract = integration.contract
    default = contract.default_event_name(topic_of(trigger)) if find(trigger) else ""
    wanted = name.strip() or default
    if not wanted:
        return {"leaves_as": "", "default": "", "error": ""}
    if len(wanted) > LONGEST_NAME:
        too_long = _("A name has up to %(limit)d characters.") % {"limit": LONGEST_NAME}
        return {"leaves_as": "", "default": default, "error": too_long}
    try:
        return {"leaves_as": contract.event_name(wanted), "default": default, "error": ""}
    except InvalidName as error:
        return {"leaves_as": "", "default": default, "error": str(error)}


def sketch_context(integration: Integration | None, trigger_key: str, name: str) -> dict[str, Any]:
    """Return what the sketch shows: nothing but a request to choose, while integration or trigger are missing."""
    trigger = find(SPELLINGS.get(trigger_key, trigger_key))
    if integration is None or trigger is None:
        return {"trigger": None}
    coins = integration.merchant.coin_name
    checked = check_name(integration, trigger.key, name)
    leaves_as = checked["leaves_as"] or checked["default"]
    definition = EventDefinition(integration=integration, trigger=trigger.key, name=leaves_as)
    return {
        "trigger": trigger,
        "title": trigger.title(coins),
        "when": fires_when(trigger, coins),
        "preview": preview(definition, timezone.now()),
        "caveats": integration.contract.guide.caveats,
        "provider": integration.label,
        "checked": checked,
    }


class SketchMixin(DefinitionPages):
    """Answers the form's questions while it is being filled in."""

    def own_paths(self) -> list[tuple[str, Any, str]]:
        """Add the two questions."""
        own = [
            ("check/", self.check_view, "events_eventdefinition_check"),
            ("sketch/", self.sketch_view, "events_eventdefinition_sketch"),
        ]
        return [*super().own_paths(), *own]

    def check_view(self, request: HttpRequest) -> HttpResponse:
        """Say how a name leaves: {leaves_as, default, error}."""
        integration = self._asked(request)
        if integration is None:
            return JsonResponse({"leaves_as": "", "default": "", "error": ""})
        trigger = request.GET.get("trigger", "")
        return JsonResponse(check_name(integration, SPELLINGS.get(trigger, trigger), request.GET.get("name", "")))

    def sketch_view(self, request: HttpRequest) -> HttpResponse:
        """Show properties, samples and the exact request of what is being filled in."""
        context = sketch_context(self._asked(request), request.GET.get("trigger", ""), request.GET.get("name", ""))
        return TemplateResponse(request, "events/sketch.html", context)

    def _asked(self, request: HttpRequest) -> Integration | None:
        """Return the integration in question, None where none is chosen. Raises Http404 for one out of scope."""
        wanted = request.GET.get("integration", "")
        if not self.has_view_permission(request):
            raise Http404
        return self.find_integration(request, wanted) if wanted else None

    def sketched(self, request: HttpRequest, form: Any) -> dict[str, Any]:
        """Return the sketch of what the form holds already, for browsers without scripts."""
        wanted, trigger, name = (str(form[key].value() or "") for key in ("integration", "trigger", "name"))
        try:
            integration = self.find_integration(request, wanted) if wanted else None
        except Http404:
            integration = None
        return sketch_context(integration, trigger, name)
