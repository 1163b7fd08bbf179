"""The pages around one event: its form, the test, the journey at the provider, the launch checklist."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _

from events.admin.base import link, one, rendered
from events.models import EventDefinition
from integrations.admin.tabs import Tab
from integrations.models import Integration
from integrations.scope import ScopedAdmin, scoped


def tabs(definition: EventDefinition, integration: Integration, here: str) -> list[Tab]:
    """Return the pages around one event, and the checklist that comes after them."""
    rows: list[tuple[str, str, str, str]] = [
        ("change", _("Event"), "bolt", link("events_eventdefinition_change", definition.pk)),
        ("test", _("Send test event"), "science", link("events_eventdefinition_test", definition.pk)),
        ("journey", _("Build the journey"), "route", link("events_eventdefinition_journey", definition.pk)),
        ("statistics", _("Statistics"), "monitoring", link("events_eventdefinition_statistics", definition.pk)),
        ("worth", _("Worth"), "balance", link("events_eventdefinition_worth", definition.pk)),
        ("launch", _("Launch checklist"), "checklist", link("events_launch", integration.pk)),
    ]
    return [Tab(label, url, key == here, icon) for key, label, icon, url in rows if url]


class DefinitionPages(ScopedAdmin):
    """Finds what a page is about within the user's scope, and shows it in the merchant's zone."""

    def own_paths(self) -> list[tuple[str, Any, str]]:
        """Return route, view and name of the pages that a mixin adds."""
        return []

    def get_urls(self) -> list[Any]:
        """Add the pages, before the admin's own address that takes any text for an id."""
        wrap = self.admin_site.admin_view
        return [*(path(route, wrap(view), name=name) for route, view, name in self.own_paths()), *super().get_urls()]

    def find(self, request: HttpRequest, object_id: str) -> EventDefinition:
        """Return the event. Raises Http404 where it does not exist, is another merchant's, or has no provider."""
        definition = one(self.get_queryset(request), object_id).select_related("integration__merchant").first()
        if definition is None or not self.has_view_permission(request, definition):
            raise Http404
        _contract(definition.integration)
        found: EventDefinition = definition
        return found

    def find_integration(self, request: HttpRequest, pk: Any) -> Integration:
        """Return an integration of the user's merchants. Raises Http404."""
        rows = scoped(Integration.objects.select_related("merchant"), request.user, "merchant")
        integration = one(rows, pk).first()
        if integration is None or not self.has_view_permission(request):
            raise Http404
        _contract(integration)
        found: Integration = integration
        return found

    def page(self, request: HttpRequest, template: str, integration: Integration, context: dict[str, Any]) -> HttpResponse:
        """Return a page, its times those of the merchant."""
        shared = {
            **self.admin_site.each_context(request),
            "integration": integration,
            "integration_url": link("integrations_integration_change", integration.pk),
            "zone": integration.merchant.timezone,
            "coins": integration.merchant.coin_name,
        }
        with timezone.override(integration.merchant.timezone):
            return rendered(TemplateResponse(request, template, shared | context))


def _contract(integration: Integration) -> None:
    """Raise Http404 for a provider that is no longer installed."""
    try:
        integration.contract  # noqa: B018 - is the provider still installed?
    except KeyError:
        raise Http404 from None
