"""Events: which activity is sent over which integration, under which name."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.decorators import display

from events.admin.base import PageMixin, chosen_integration, link, local, one, view_of
from events.admin.coming_back_page import ComingBackMixin
from events.admin.filters import ScopedDropdownFilter
from events.admin.forms import (
    MILESTONES,
    PEOPLE_ROWS,
    TIMES,
    EventDefinitionForm,
    grouped_triggers,
    own_settings,
    settings_by_trigger,
)
from events.admin.journey_page import JourneyMixin
from events.admin.launch_page import LaunchMixin
from events.admin.look import with_icon
from events.admin.pages import tabs
from events.admin.requests import preview
from events.admin.sketch import SketchMixin
from events.admin.statistics_page import StatisticsMixin
from events.admin.switches import SwitchMixin
from events.admin.trial_page import TrialMixin
from events.admin.worth_page import WorthMixin
from events.lookups import has_any
from events.models import EventDefinition
from events.statistics_reading import sent_since
from events.timeline import fires_when, resends, whole
from events.triggers import find
from integrations.models import Status

RECENT = timedelta(days=7)
PEOPLE_WORDS = gettext_lazy("Whoever is left out is listed under Deliveries as skipped, with the reason.")
DELIVERY_WORDS = gettext_lazy("How long it is worth sending, and what to do without an answer. The defaults suit most events.")


@admin.register(EventDefinition)
class EventDefinitionAdmin(
    PageMixin, SwitchMixin, SketchMixin, TrialMixin, JourneyMixin, StatisticsMixin, ComingBackMixin, LaunchMixin, WorthMixin
):
    """Create, change, switch on and off. What was sent stays, so an event with history is switched off, not deleted."""

    merchant_path = "integration__merchant"
    staff_may = frozenset({"view", "add", "change", "delete"})
    form = EventDefinitionForm
    change_form_template = "events/definition.html"
    list_display = ("event", "fires", "over", "where", "switch", "seen", "sent_recently")
    list_select_related = ("integration__merchant",)
    list_filter = (
        ("integration", ScopedDropdownFilter),
        ("trigger", ChoicesDropdownFilter),
        ("enabled", BooleanRadioFilter),
    )
    list_filter_submit = True
    search_fields = ("name", "trigger")
    search_help_text = gettext_lazy("Name of the event")
    sortable_by = ()
    integration_tab = "events"
    empty_icon = "bolt"
    empty_title = gettext_lazy("No events yet")
    empty_text = gettext_lazy(
        "An event says which loyalty activity is sent to which provider. Create one, and from then on it is sent."
    )

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Offer to create the first event."""
        chosen = chosen_integration(request)
        address = link("events_eventdefinition_add", query=f"integration={chosen.pk}" if chosen else "")
        return (address, _("Create an event")) if self.has_add_permission(request) else None

    # --- The list -----------------------------------------------------------------------------------------------------
    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Count what each event on this page sent in the last week: one query for all of them."""
        changelist = super().get_changelist_instance(request)
        sent = sent_since([row.pk for row in changelist.result_list], timezone.now() - RECENT)
        for row in changelist.result_list:
            row.sent_count = sent.get(row.pk, 0)
        return changelist

    @display(description=gettext_lazy("name at the provider"))
    def event(self, definition: EventDefinition) -> str:
        """Return the name that leaves."""
        return definition.name

    @display(description=gettext_lazy("fires for"))
    def fires(self, definition: EventDefinition) -> str:
        """Return the trigger in the merchant's words."""
        trigger = find(definition.trigger)
        return trigger.title(definition.integration.merchant.coin_name) if trigger else definition.trigger

    @display(description=gettext_lazy("integration"))
    def over(self, definition: EventDefinition) -> str:
        """Return provider and merchant."""
        return str(definition.integration)

    @display(description=gettext_lazy("where"))
    def where(self, definition: EventDefinition) -> str:
        """Return the portal."""
        return definition.get_portal_display()

    @display(description=gettext_lazy("state"), label={"on": "success", "off": ""})
    def switch(self, definition: EventDefinition) -> tuple[str, Any]:
        """Return on or off."""
        on = definition.enabled
        return ("on", with_icon("toggle_on", _("On"))) if on else ("off", with_icon("toggle_off", _("Off")))

    @display(description=gettext_lazy("test event"))
    def seen(self, definition: EventDefinition) -> Any:
        """Return when the provider took a test, leading to the next one."""
        address = link("events_eventdefinition_test", definition.pk)
        if definition.seen_at is None:
            return format_html('<a href="{}" class="text-link">{}</a>', address, _("Send test event"))
        provider, zone = definition.integration.label, definition.integration.merchant.timezone
        said = _("Seen by %(provider)s at %(time)s") % {"provider": provider, "time": local(definition.seen_at, zone)}
        return format_html('<div>{}<br><a href="{}" class="text-link">{}</a></div>', said, address, _("Send another"))

    @display(description=gettext_lazy("sent in 7 days"))
    def sent_recently(self, definition: EventDefinition) -> Any:
        """Return the number, leading to the rows behind it."""
        since = timezone.localdate() - RECENT
        query = f"definition__id__exact={definition.pk}&status__exact=sent&is_test__exact=0&created_at_from={since}"
        address = link("events_eventdelivery_changelist", query=query)
        return format_html('<a href="{}" class="text-link">{}</a>', address, getattr(definition, "sent_count", 0))

    # --- The page -----------------------------------------------------------------------------------------------------
    def get_form(self, request: HttpRequest, obj: EventDefinition | None = None, **kwargs: Any) -> Any:
        """Give the form the merchant's word for coins."""
        form = super().get_form(request, obj, **kwargs)
        if "integration" in form.base_fields:
            widget = form.base_fields["integration"].widget
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False
        form.coins = obj.integration.merchant.coin_name if obj else view_of(request).coins
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: EventDefinition | None = None) -> Any:
        """Fix what an existing event is about: its history belongs to this trigger and this integration."""
        own = ("integration", "fires") if obj else ()
        return own if not obj or self.has_change_permission(request, obj) else (*own, "worth", "resends")

    def get_fieldsets(self, request: HttpRequest, obj: EventDefinition | None = None) -> Any:
        """Name an existing event's trigger in the merchant's words; fold away what is right for most events."""
        own = own_settings(obj.trigger) if obj else (*MILESTONES, *TIMES)  # of a new one the page shows what its trigger has
        first = ("integration", "fires" if obj else "trigger", *own, "name", "portal", "destination", "adds_utm", "enabled")
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        folded = ("stale_amount", "stale_unit", "uncertain_resends") if may_write else ("worth", "resends")
        return [
            (None, {"fields": first}),
            (_("To whom, how often, and when"), {"classes": ["collapse"], "description": PEOPLE_WORDS, "fields": PEOPLE_ROWS}),
            (_("Delivery"), {"classes": ["collapse"], "description": DELIVERY_WORDS, "fields": folded}),
        ]

    @display(description=gettext_lazy("no longer worth sending after"))
    def worth(self, definition: EventDefinition) -> str:
        """Return the limit in words."""
        return whole(timedelta(seconds=definition.stale_after)) if definition.stale_after else _("always worth sending")

    @display(description=gettext_lazy("if nobody knows whether it arrived"))
    def resends(self, definition: EventDefinition) -> str:
        """Return the budget in words."""
        return resends(definition.uncertain_resends)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> HttpResponse:
        """Add the table of triggers, or this event's properties and its exact request."""
        definition = kwargs.get("obj")
        context |= {"ask_check": link("events_eventdefinition_check"), "show_save_and_add_another": False}
        context["show_save_and_continue"] = definition is not None
        if definition is None:
            context |= self._blank(request, context["adminform"].form)
        else:
            context |= self._existing(definition)
        return super().render_change_form(request, context, *args, **kwargs)

    def _blank(self, request: HttpRequest, form: Any) -> dict[str, Any]:
        """Return what stands below the form of a new event: what it would send, and all the triggers."""
        coins = view_of(request).coins
        triggers = [
            (group, [(item.title(coins), fires_when(item, coins), item.key) for item in items])
            for group, items in grouped_triggers(coins)
        ]
        return {
            "triggers": triggers,
            "own_settings": json.dumps(settings_by_trigger()),
            "sketch": self.sketched(request, form),
            "ask_sketch": link("events_eventdefinition_sketch"),
        }

    def _existing(self, definition: EventDefinition) -> dict[str, Any]:
        """Return what stands around the form of an existing event: its pages, its properties, its exact request."""
        integration, trigger = definition.integration, find(definition.trigger)
        try:
            caveats, pages = integration.contract.guide.caveats, tabs(definition, integration, "change")
        except KeyError:  # the provider is no longer installed
            caveats, pages = (), []
        return {
            "tabs": pages,
            "caveats": caveats,
            "preview": preview(definition, timezone.now()),
            "when": fires_when(trigger, integration.merchant.coin_name) if trigger else "",
            "idle": not integration.enabled or integration.status != Status.ACTIVE,
            "integration_url": link("integrations_integration_change", integration.pk),
            "deliveries_url": link("events_eventdelivery_changelist", query=f"definition__id__exact={definition.pk}"),
            "test_url": link("events_eventdefinition_test", definition.pk),
            "journey_url": link("events_eventdefinition_journey", definition.pk),
            "seen": local(definition.seen_at, integration.merchant.timezone),
        }

    def response_add(self, request: HttpRequest, obj: EventDefinition, post_url_continue: str | None = None) -> HttpResponse:
        """Lead to the new event's page: its preview is there."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        said = _("“%(name)s” is created. From now on each such activity is sent. Next: send a test event.")
        said = said if obj.enabled else _("“%(name)s” is created, switched off.")
        messages.success(request, said % {"name": obj.name})
        return HttpResponseRedirect(link("events_eventdefinition_change", obj.pk))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Leave out deleting many: it would load their whole history to refuse."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Delete an event that never sent anything; of any other say to switch it off."""
        mine = one(self.get_queryset(request), object_id).first()
        if mine is not None and has_any(mine):
            said = _("This event has a history, which is kept. Switch it off instead: nothing more is sent then.")
            messages.warning(request, said)
            return HttpResponseRedirect(link("events_eventdefinition_change", object_id))
        return super().delete_view(request, object_id, extra_context)
