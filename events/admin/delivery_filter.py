"""What a list of deliveries is filtered to, read from its address: the one place that knows the list's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, QueryDict
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from events.admin.base import link, view_of
from events.admin.filters import PORTAL, midnight, portal_of
from events.bulk_filter import DeliveryFilter
from events.identifiers import first_id_at, moment_of
from events.models import EventDefinition
from events.states import Portal, Reason, State
from integrations.models import Integration, Merchant
from integrations.scope import scoped

STATES, SEARCH, FIRST_DAY, LAST_DAY = "status__exact", "q", "created_at_from", "created_at_to"
CUSTOMER = "customer_ref__exact"  # several: one person under former references as well
ORDER_AND_PAGE = {"o", "p", "e", "all", "after", "before"}  # which rows are shown first, not which there are


class UnreadableFilter(ValueError):
    """The list is filtered in a way that is not known here: acting on it would touch more than is shown."""


def filter_of(request: HttpRequest) -> DeliveryFilter:
    """Return the filter of the list with this address. Raises UnreadableFilter rather than leave anything out of account."""
    found = DeliveryFilter()
    zone = view_of(request).zone
    for name, values in request.GET.lists():
        values = [value for value in values if value != ""]
        if not values or name in ORDER_AND_PAGE:
            continue
        if name == STATES:
            if not set(values) <= set(State.values):
                raise UnreadableFilter(name)
            found = replace(found, statuses=tuple(sorted(set(values))))
            continue
        if name == CUSTOMER:
            found = replace(found, customer_refs=tuple(sorted(set(values))))
            continue
        value = values[-1]
        if name in (FIRST_DAY, LAST_DAY):
            day = _day(name, value) + timedelta(days=name == LAST_DAY)
            edge = first_id_at(midnight(day, zone))
            found = replace(found, since=edge) if name == FIRST_DAY else replace(found, before=edge)
        elif name in PARAMETERS:
            field, read = PARAMETERS[name]
            found = replace(found, **{field: read(name, value)})
        else:
            raise UnreadableFilter(name)
    return found


def _day(name: str, value: str) -> date:
    """Return a day."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise UnreadableFilter(name) from None


def _text(_name: str, value: str) -> str:
    """Return a text as it is."""
    return value


def _portal(_name: str, value: str) -> str:
    """Return a portal."""
    return portal_of(value)


def _key(name: str, value: str) -> int:
    """Return a row's key."""
    if not (value.isdecimal() and len(value) < 19):
        raise UnreadableFilter(name)
    return int(value)


def _yes_or_no(name: str, value: str) -> bool:
    """Return what 1 and 0 mean."""
    if value not in ("0", "1"):
        raise UnreadableFilter(name)
    return value == "1"


PARAMETERS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    "reason__exact": ("reason", _text),
    PORTAL: ("portal", _portal),
    "portal__exact": ("portal", _text),
    "merchant__id__exact": ("merchant_id", _key),
    "integration__id__exact": ("integration_id", _key),
    "definition__id__exact": ("definition_id", _key),
    "is_test__exact": ("is_test", _yes_or_no),
    SEARCH: ("search", _text),
}


def merchants_within(request: HttpRequest, wanted: DeliveryFilter, merchants: Any, most: int) -> list[Merchant]:
    """Return those of these merchants whom the filter can concern, up to one more than `most`."""
    if wanted.merchant_id is not None:
        merchants = merchants.filter(pk=wanted.merchant_id)
    if wanted.integration_id is not None:
        merchants = merchants.filter(integrations=wanted.integration_id)
    if wanted.definition_id is not None:
        merchants = merchants.filter(integrations__definitions=wanted.definition_id)
    return list(merchants.order_by("name", "pk")[: most + 1])


def list_address(parameters: QueryDict) -> str:
    """Return the address of the list with these parameters."""
    return link("events_eventdelivery_changelist", query=parameters.urlencode())


# --- In words ------------------------------------------------------------------------------------------------------------
def words_of(request: HttpRequest, wanted: DeliveryFilter) -> list[tuple[str, str]]:
    """Return the filter as label and value, for people."""
    zone = view_of(request).zone
    found: list[tuple[str, str]] = []
    if wanted.statuses:
        found.append((_("State"), ", ".join(str(State(state).label) for state in wanted.statuses)))
    if wanted.reason is not None:
        found.append((_("Reason"), str(dict(Reason.choices).get(wanted.reason, wanted.reason))))
    if wanted.integration_id is not None:
        integrations = scoped(Integration.objects.select_related("merchant"), request.user, "merchant")
        found.append((_("Integration"), str(integrations.filter(pk=wanted.integration_id).first() or "-")))
    if wanted.definition_id is not None:
        definitions = scoped(EventDefinition.objects.select_related("integration"), request.user, "integration__merchant")
        found.append((_("Event"), str(definitions.filter(pk=wanted.definition_id).first() or "-")))
    if wanted.portal is not None:
        found.append((_("Portal"), str(dict(Portal.choices).get(wanted.portal, wanted.portal) or _("Not known"))))
    if wanted.is_test is not None:
        found.append((_("Test"), _("Yes") if wanted.is_test else _("No")))
    if wanted.customer_refs:
        found.append((_("Customer"), ", ".join(wanted.customer_refs)))
    if wanted.search:
        found.append((_("Search"), wanted.search))
    if wanted.since or wanted.before:
        found.append((_("Period"), _period(wanted, zone)))
    return found


def _period(wanted: DeliveryFilter, zone: str) -> str:
    """Return first and last day of the filter's period."""
    there = ZoneInfo(zone)
    first = date_format(moment_of(wanted.since).astimezone(there), "j M Y") if wanted.since else "…"
    last = date_format((moment_of(wanted.before) - timedelta(hours=1)).astimezone(there), "j M Y") if wanted.before else "…"
    return first if first == last else f"{first} – {last}"
