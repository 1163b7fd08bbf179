"""“Build the journey in ...”: the provider's own steps, the trigger's exact name, and values ready to copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from events.admin.base import link
from events.admin.pages import DefinitionPages, tabs
from events.admin.requests import SAMPLE_ID, SAMPLE_RECIPIENT, own_first
from events.messages import MESSAGES
from events.models import EventDefinition
from events.trial import payload_of

CLICK, OPEN = "nector_click_url", "nector_open_url"


@dataclass(frozen=True, slots=True)
class Value:
    """A property as a message at the provider calls it: its name there, what to copy, a sample."""

    name: str
    snippet: str
    sample: Any


@dataclass(frozen=True, slots=True)
class Written:
    """A sample message in the provider's syntax."""

    subject: str
    text: str


def values_of(definition: EventDefinition) -> dict[str, Value]:
    """Return what the event carries, by our names; each as the provider spells it."""
    properties = payload_of(definition, SAMPLE_RECIPIENT, SAMPLE_ID)
    pattern = definition.integration.contract.guide.journey.snippet
    names = definition.integration.contract.property_names(properties)
    return {
        ours: Value(theirs, pattern % {"name": theirs} if pattern else f"[{theirs}]", properties.get(ours, ""))
        for ours, theirs in names.items()
    }


def message_of(definition: EventDefinition, values: dict[str, Value]) -> Written | None:
    """Return the trigger's sample message, its values written as this provider wants them."""
    message = MESSAGES.get(definition.trigger)
    if message is None:
        return None

    def written(name: str) -> str:
        return values[name].snippet if name in values else f"[{name}]"

    return Written(*message.written(definition.integration.merchant.coin_name, written))


def journey_context(definition: EventDefinition) -> dict[str, Any]:
    """Return everything that staff take over to the provider."""
    guide, values = definition.integration.contract.guide, values_of(definition)
    return {
        "steps": [str(step) % {"event": definition.name} for step in guide.journey.steps],
        "syntax_note": guide.journey.syntax_note,
        "has_snippets": bool(guide.journey.snippet),
        "values": [value for ours, value in own_first(definition.trigger, values).items() if ours not in (CLICK, OPEN)],
        "click": values.get(CLICK),
        "opened": values.get(OPEN),
        "pixel": f'<img src="{values[OPEN].snippet}" width="1" height="1" alt="">' if OPEN in values else "",
        "message": message_of(definition, values),
        "caveats": guide.caveats,
    }


class JourneyMixin(DefinitionPages):
    """The journey page of one event."""

    def own_paths(self) -> list[tuple[str, Any, str]]:
        """Add the page."""
        return [*super().own_paths(), ("<path:object_id>/journey/", self.journey_view, "events_eventdefinition_journey")]

    def journey_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the page."""
        definition = self.find(request, object_id)
        provider = definition.integration.label
        context = {
            "definition": definition,
            "opts": self.opts,
            "original": definition,
            "title": _("Build the journey in %(provider)s") % {"provider": provider},
            "tabs": tabs(definition, definition.integration, "journey"),
            "test_url": link("events_eventdefinition_test", definition.pk),
            "launch_url": link("events_launch", definition.integration_id),
        }
        return self.page(request, "events/journey.html", definition.integration, context | journey_context(definition))
