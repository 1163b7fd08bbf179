"""The merchant that somebody works in at the moment, out of several: chosen in the side bar, remembered in the session.

Lists, home, exports and choices then show that merchant alone. What is asked for by its own key, or by a filter that names
rows, is shown whosever it is of the user's: a link in a mail leads to its page whatever was chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from integrations.models import Merchant
from integrations.roles import work_within
from integrations.scope import merchants_of

CHOSEN = "working_merchant"  # in the session
NAMING = {"merchant", "integration", "definition", "customer"}  # parameters that name a row, besides `..__id__exact`
MOST_OFFERED = 500


@dataclass(frozen=True, slots=True)
class Offer:
    """What the side bar shows: the merchants to choose from, the chosen one (None: all), and the address that takes it."""

    merchants: list[Merchant]
    chosen: int | None
    url: str
    back: str


class WithinMiddleware:
    """Narrows what the user sees in the admin to the merchant that was chosen. It stands behind the one that knows the user."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep what answers."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Narrow, unless the address, a filter or the form names a row."""
        match = request.resolver_match
        if match is None or "admin" not in match.app_names or CHOSEN not in request.session:
            return
        user: Any = request.user
        if not user.is_authenticated:
            return
        if merchants_of(user).filter(pk=request.session[CHOSEN]).exists():
            if not _names_a_row({*kwargs}, {*request.GET, *request.POST}):
                work_within(user, request.session[CHOSEN])
        else:  # they left its staff, or it is gone
            del request.session[CHOSEN]


def _names_a_row(parts: set[str], parameters: set[str]) -> bool:
    """Tell whether a part of the address is a key, or a parameter names a row."""
    return any(name.endswith(("id", "pk")) for name in parts) or any(
        name in NAMING or name.endswith("__id__exact") for name in parameters
    )


def offer(request: HttpRequest) -> Offer | None:
    """Return what the side bar shows; None for those who have nothing to choose."""
    if not request.user.is_authenticated:
        return None
    merchants = list(_choices(request)[:MOST_OFFERED])
    if len(merchants) < 2:
        return None
    return Offer(merchants, request.session.get(CHOSEN), reverse("admin:integrations_merchant_switch"), request.path)


def _choices(request: HttpRequest) -> Any:
    """Return all of the user's merchants, whatever is chosen."""
    user: Any = request.user
    before = work_within(user, None)
    try:
        return merchants_of(user).only("pk", "name")
    finally:
        work_within(user, before)


def switch(request: HttpRequest) -> HttpResponse:
    """POST: work in another merchant, or in all of them, and go back to the page. 404 for one that is not the user's."""
    if request.method == "POST":
        wanted = request.POST.get("to", "")
        if not wanted:
            request.session.pop(CHOSEN, None)
        elif wanted.isdecimal() and len(wanted) < 19 and _choices(request).filter(pk=wanted).exists():
            request.session[CHOSEN] = int(wanted)
        else:
            raise Http404
    back = request.POST.get("back", "")
    if not (back.startswith("/") and url_has_allowed_host_and_scheme(back, None)):
        back = reverse("admin:index")
    return HttpResponseRedirect(back)
