"""Switching events on and off: from the list for many, from a page for one. Always POST, always within the scope."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import action

from events.admin.base import go, link, one
from events.models import EventDefinition
from integrations.audit import Act, note
from integrations.scope import ScopedAdmin, scoped

ON_DIALOG = {
    "title": gettext_lazy("Switch this event on?"),
    "description": gettext_lazy("From now on each such activity is sent."),
    "form_submit_text": gettext_lazy("Switch on"),
}
OFF_DIALOG = {
    "title": gettext_lazy("Switch this event off?"),
    "description": gettext_lazy("Its activities are no longer recorded. What waits is still sent; history stays."),
    "form_submit_text": gettext_lazy("Switch off"),
}


class SwitchMixin(ScopedAdmin):
    """The verbs of the events' admin."""

    actions = ("switch_on", "switch_off")
    actions_detail = ("turn_on", "turn_off")

    def _set(self, request: HttpRequest, rows: QuerySet, enabled: bool) -> None:
        """Switch these events, as far as the user may change them."""
        rows = scoped(rows, request.user, self.merchant_path, writing=True)
        chosen = list(rows.select_related("integration"))
        count = EventDefinition.objects.filter(pk__in=[row.pk for row in chosen]).update(enabled=enabled)
        for row in chosen:
            note(Act.CHANGED, row, fields=["enabled"], enabled=int(enabled))
        if enabled:
            said = ngettext("%(count)d event is switched on.", "%(count)d events are switched on.", count)
        else:
            said = ngettext("%(count)d event is switched off.", "%(count)d events are switched off.", count)
        (messages.success if count else messages.warning)(request, said % {"count": count})

    @admin.action(description=gettext_lazy("Switch on"), permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Switch the selected events on."""
        self._set(request, queryset, True)

    @admin.action(description=gettext_lazy("Switch off"), permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Switch the selected events off."""
        self._set(request, queryset, False)

    def has_turn_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Allow switching to those who may change this very event."""
        mine = one(self.get_queryset(request), object_id).first()
        return mine is not None and self.has_change_permission(request, mine)

    @action(
        description=gettext_lazy("Switch on"),
        permissions=["turn"],
        icon="toggle_on",
        url_path="switch-on",
        dialog=ON_DIALOG,
    )
    def turn_on(self, request: HttpRequest, _form: Any, object_id: str) -> HttpResponse:
        """Switch one event on."""
        self._set(request, one(self.get_queryset(request), object_id), True)
        return go(request, link("events_eventdefinition_change", object_id))

    @action(
        description=gettext_lazy("Switch off"),
        permissions=["turn"],
        icon="toggle_off",
        url_path="switch-off",
        dialog=OFF_DIALOG,
    )
    def turn_off(self, request: HttpRequest, _form: Any, object_id: str) -> HttpResponse:
        """Switch one event off."""
        self._set(request, one(self.get_queryset(request), object_id), False)
        return go(request, link("events_eventdefinition_change", object_id))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the one of the two switches that does something."""
        definition = one(self.get_queryset(request), object_id).only("enabled").first()
        idle = "turn_on" if definition and definition.enabled else "turn_off"
        return [item for item in super().get_actions_detail(request, object_id) if not item.action_name.endswith(idle)]
