"""Deliveries: the read-only history of everything that was sent, waits, failed or was left out."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesCheckboxFilter, ChoicesDropdownFilter
from unfold.decorators import display

from events.admin.base import PageMixin, link, local
from events.admin.delivery_bulk import DeliveryBulk
from events.admin.delivery_page import customer_name, delivery_context
from events.admin.delivery_verbs import DeliveryVerbs
from events.admin.filters import PeriodFilter, PortalFilter, ScopedDropdownFilter
from events.admin.keyset import KeysetChangeList
from events.admin.look import LABELS, state_word, with_icon
from events.bulk_filter import search_arms
from events.models import Engagement, EventDelivery
from events.states import EngagementKind
from events.timeline import said_of
from integrations.scope import NeverEdited, ScopedAdmin

REASON_LENGTH = 90  # the page has all of it


@admin.register(EventDelivery)
class EventDeliveryAdmin(NeverEdited, DeliveryBulk, DeliveryVerbs, PageMixin, ScopedAdmin):
    """Nobody adds, changes or deletes history; owners and managers may retry, replay and cancel."""

    merchant_path = "merchant"
    change_form_template = "events/delivery.html"
    fields = ()
    list_display = ("when", "customer", "event", "provider", "state", "outcome", "tries")
    list_display_links = ("when", "customer")
    list_select_related = ("integration__merchant", "merchant")
    list_filter = (
        ("status", ChoicesCheckboxFilter),
        ("created_at", PeriodFilter),
        ("integration", ScopedDropdownFilter),
        ("definition", ScopedDropdownFilter),
        ("reason", ChoicesDropdownFilter),
        PortalFilter,
        ("is_test", BooleanRadioFilter),
    )
    list_filter_submit = True
    list_disable_select_all = True
    actions_detail_hide_default = True
    list_per_page = 50
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = gettext_lazy("Whole delivery ID, customer's email or customer ID")
    integration_tab = "deliveries"
    empty_icon = "outbox"
    empty_title = gettext_lazy("No deliveries yet")
    empty_text = gettext_lazy(
        "As soon as a customer earns %(coins)s or gets a coupon, what is sent appears here. An event must be switched on for it."
    )

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the events."""
        address = link("events_eventdefinition_changelist")
        return (address, _("See the events")) if address else None

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Leave the payloads where they are: a list does not show them."""
        return super().get_queryset(request).defer("payload")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Learn what came back about the rows of this page: one query for all of them, by its index."""
        changelist = super().get_changelist_instance(request)
        kinds = (EngagementKind.OPEN, EngagementKind.CLICK)
        came = Engagement.objects.filter(
            delivery__in=[row.pk for row in changelist.result_list], kind__in=kinds, is_machine=False
        )
        found = set(came.order_by().values_list("delivery", "kind").distinct())
        for row in changelist.result_list:
            row.reactions = {kind for kind in kinds if (row.pk, kind) in found}
        return changelist

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Find by the whole delivery id, email or customer id: exact values only, never a scan for a fragment."""
        arms = self.search_arms(search_term)
        return (queryset.filter(reduce(or_, arms)) if arms else queryset), False

    def search_arms(self, search_term: str) -> list[Q]:
        """Return the ways in which a row can be what is searched for, each with an index of its own; none: no search."""
        return search_arms(search_term)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        """Page by ids."""
        return KeysetChangeList

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one delivery's whole story."""
        return super().change_view(request, object_id, form_url, {"show_save": False, **(extra_context or {})})

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> HttpResponse:
        """Fill the page."""
        delivery = kwargs["obj"]
        context |= delivery_context(delivery) | {"title": delivery.event_name}
        return super().render_change_form(request, context, *args, **kwargs)

    # --- Columns ------------------------------------------------------------------------------------------------------
    @display(description=gettext_lazy("recorded"))
    def when(self, delivery: EventDelivery) -> str:
        """Return when it was recorded, in the merchant's zone."""
        return local(delivery.created_at, delivery.merchant.timezone).replace(" ", "\N{NO-BREAK SPACE}")

    @display(description=gettext_lazy("customer"))
    def customer(self, delivery: EventDelivery) -> str:
        """Return the best name there is."""
        return customer_name(delivery)

    @display(description=gettext_lazy("event"))
    def event(self, delivery: EventDelivery) -> str:
        """Return the name that leaves, and whether it is a test."""
        return _("%(name)s (test)") % {"name": delivery.event_name} if delivery.is_test else delivery.event_name

    @display(description=gettext_lazy("provider"))
    def provider(self, delivery: EventDelivery) -> str:
        """Return the provider."""
        return delivery.integration.label

    @display(description=gettext_lazy("state"), label=LABELS)
    def state(self, delivery: EventDelivery) -> tuple[str, Any]:
        """Return the state as a coloured word with an icon."""
        return state_word(delivery.status)

    @display(description=gettext_lazy("what came of it"))
    def outcome(self, delivery: EventDelivery) -> str:
        """Return the beginning of the reason in words, or whether the customer clicked or at least opened."""
        reactions = getattr(delivery, "reactions", ())
        if EngagementKind.CLICK in reactions:
            return with_icon("ads_click", _("clicked"))
        if EngagementKind.OPEN in reactions:
            return with_icon("drafts", _("opened"))
        return Truncator(said_of(delivery)).chars(REASON_LENGTH)

    @display(description=gettext_lazy("tries"))
    def tries(self, delivery: EventDelivery) -> int:
        """Return how many calls it was in."""
        return delivery.attempt_count
