"""What the pages of every room share: the merchant's words and zone, empty lists that help, verbs that are POST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.admin import ShowFacets
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.functional import cached_property

from integrations.admin.empty import EmptyList
from integrations.admin.tabs import tabs_of
from integrations.models import Integration
from integrations.scope import merchants_of, scoped

COUNT_LIMIT = 10_000
CHOSEN = "integration__id__exact"  # the filter that makes a list one of an integration's pages
DEFAULT_COINS = "coins"
MANY_MERCHANTS = 50  # an administrator of more sees neutral words anyway


@dataclass(frozen=True, slots=True)
class View:
    """Whose pages these are: the zone in which times are shown, and the word for coins."""

    zone: str
    coins: str


def view_of(request: HttpRequest) -> View:
    """Return zone and coin word of the user's merchants, where they share one; otherwise the installation's."""
    found = getattr(request, "_merchant_view", None)
    if found is None:
        rows = list(merchants_of(request.user).order_by().values_list("timezone", "coin_name").distinct()[:MANY_MERCHANTS])
        zones, words = {zone for zone, _word in rows}, {word for _zone, word in rows}
        zone = zones.pop() if len(zones) == 1 else settings.TIME_ZONE
        found = View(zone, words.pop() if len(words) == 1 else DEFAULT_COINS)
        request._merchant_view = found  # type: ignore[attr-defined]
    return found


def local(moment: datetime | None, zone: str) -> str:
    """Return a moment in that zone, with the zone's own short name: 22 Nov, 14:05:09 IST (other years are named)."""
    if moment is None:
        return ""
    there = moment.astimezone(ZoneInfo(zone))
    day = "j M, H:i:s" if there.year == timezone.now().year else "j M Y, H:i:s"
    return f"{date_format(there, day)} {there.tzname()}"


def grouped(number: int) -> str:
    """Return a number as people write it: 12,345."""
    return number_format(number, force_grouping=True)


def link(name: str, *args: Any, query: str = "") -> str:
    """Return an admin address, or an empty text where nothing answers there."""
    try:
        address = reverse(f"admin:{name}", args=args)
    except NoReverseMatch:
        return ""
    return f"{address}?{query}" if query else address


def chosen_integration(request: HttpRequest) -> Integration | None:
    """Return the one integration to which a list is filtered, where it is one of the user's."""
    wanted = request.GET.get(CHOSEN, "")
    if not (wanted.isdecimal() and len(wanted) < 19):
        return None
    rows: QuerySet[Integration] = scoped(Integration.objects.select_related("merchant"), request.user, "merchant")
    return one(rows, wanted).first()


def go(request: HttpRequest, address: str) -> HttpResponse:
    """Send the browser on after a verb, from a dialog (which htmx posts) as well as from a plain form."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def one(rows: QuerySet[Any], pk: Any) -> QuerySet[Any]:
    """Return the rows with that primary key, from an address: none, where it is no key at all."""
    try:
        return rows.filter(pk=pk)
    except (ValueError, ValidationError):
        return rows.none()


class BoundedPaginator(Paginator):
    """Counts to 10,000 and no further: the full count of a huge table takes longer than anyone waits."""

    template_name = "events/pagination.html"

    @cached_property
    def count(self) -> int:
        """Return the number of rows; one more than the limit stands for “more”."""
        rows: Any = self.object_list
        return int(rows.order_by()[: COUNT_LIMIT + 1].count())

    @property
    def more_than(self) -> str:
        """Return the limit, as people write it, where there is more; otherwise an empty text."""
        return grouped(COUNT_LIMIT) if self.count > COUNT_LIMIT else ""


class PageMixin(EmptyList):
    """Shows a model's pages in the merchant's zone, and a sentence with a first action where a list is empty.

    In that sentence `%(coins)s` stands for the merchant's word.
    """

    change_list_template = "events/list.html"
    paginator = BoundedPaginator
    show_facets = ShowFacets.NEVER  # a count per choice is a full count of the table, many times over

    integration_tab = ""  # which of an integration's pages the list is, once it is filtered to one

    def empty_words(self, request: HttpRequest) -> Mapping[str, str]:
        """Return the merchant's word for coins."""
        return {"coins": view_of(request).coins}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list."""
        context: dict[str, Any] = {}
        if self.integration_tab and (integration := chosen_integration(request)):
            context |= {
                "integration": integration,
                "integration_tabs": tabs_of(integration, self.integration_tab),
                "is_whole": set(request.GET) == {CHOSEN},
            }
        with timezone.override(view_of(request).zone):
            return rendered(super().changelist_view(request, context | (extra_context or {})))

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show or take the form; times that staff type are the merchant's."""
        with timezone.override(view_of(request).zone):
            return rendered(super().changeform_view(request, *args, **kwargs))  # type: ignore[misc]


def rendered(response: Any) -> HttpResponse:
    """Render now, while the zone holds."""
    if hasattr(response, "render") and not response.is_rendered:
        response.render()
    return response
