"""List filters of deliveries: within the user's scope, and quick on a table of millions."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import DropdownFilter, RangeDateFilter, RelatedDropdownFilter

from events.admin.base import view_of
from events.identifiers import first_id_at
from events.states import Portal
from integrations.models import Merchant
from integrations.scope import ScopedRelatedFilter, scoped

MOST_CHOICES = 200
PORTAL, NOT_KNOWN = "portal", "-"


class ScopedDropdownFilter(ScopedRelatedFilter, RelatedDropdownFilter):
    """A drop-down whose choices are rows of the user's merchants only."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        """Return the choices within the scope, with what their names are made of: one query."""
        target = field.related_model
        path = "pk" if target is Merchant else model_admin.admin_site._registry[target].merchant_path
        rows = scoped(target._default_manager.select_related(), request.user, path)
        return [(row.pk, str(row)) for row in rows[:MOST_CHOICES]]


class PortalFilter(DropdownFilter):
    """Where it happened."""

    title = gettext_lazy("portal")
    parameter_name = PORTAL

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the portals, and that none is known."""
        portals = [(portal.value, portal.label) for portal in Portal if portal != Portal.ALL]
        return [*portals, (NOT_KNOWN, _("Not known"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows of what happened there."""
        value = self.value()
        return queryset if value is None else queryset.filter(portal=portal_of(value))


def portal_of(value: str) -> str:
    """Return the column's value for a filter's."""
    return "" if value == NOT_KNOWN else value


class PeriodFilter(RangeDateFilter):
    """From one day to another, both included, as days of the merchant's zone. A period is a range of ids."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Say “period” rather than the column's name."""
        super().__init__(*args, **kwargs)
        self.title = "period"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows recorded in the period; a day that is none is left out of account."""
        zone = view_of(request).zone
        first, last = (_day(self.used_parameters.get(f"{self.parameter_name}_{end}")) for end in ("from", "to"))
        if first:
            queryset = queryset.filter(id__gte=first_id_at(midnight(first, zone)))
        if last:
            queryset = queryset.filter(id__lt=first_id_at(midnight(last + timedelta(days=1), zone)))
        return queryset


def midnight(day: date, zone: str) -> datetime:
    """Return the moment at which that day begins there."""
    return datetime.combine(day, time.min, ZoneInfo(zone))


def _day(text: Any) -> date | None:
    """Return a day from a filter's parameter, or None."""
    try:
        return date.fromisoformat(str(text or ""))
    except ValueError:
        return None


class TestFilter(admin.BooleanFieldListFilter):
    """Tests or real activities."""

    __test__ = False  # not a test case, whatever its name
