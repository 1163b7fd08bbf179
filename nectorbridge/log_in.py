"""Who guesses passwords is locked out for a while: django-axes, with our limits and our page.

Counted are failures of one name from one address, so that nobody can lock out somebody else; and, far higher, all of one
address, so that nobody tries one password with many names. Names that do not exist are counted like those that do. The counts
are in the database, so that they hold for all web processes, with and without Redis.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from integrations.clients import FORWARDED, address_of


class Backend(AxesStandaloneBackend):
    """Refuses who is locked out, before any password is looked at. A program that logs somebody in comes through no door."""

    def authenticate(self, request: HttpRequest | None, *args: Any, **kwargs: Any) -> None:
        """Raise PermissionDenied for who is locked out."""
        if request is not None:
            super().authenticate(request, *args, **kwargs)


class Handler(AxesDatabaseHandler):
    """Counts failures by name and address, and by address alone; keeps nothing of what was typed but the name."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Return the failures that count towards LOGIN_FAILURES; those of the address alone in proportion to their own limit."""
        own: int = super().get_failures(request, credentials)
        address = address_for_axes(request)
        if address is None or _is_our_proxys(request):
            return own
        rows = AccessAttempt.objects.filter(ip_address=address, attempt_time__gt=timezone.now() - settings.AXES_COOLOFF_TIME)
        of_address = rows.aggregate(total=Sum("failures_since_start"))["total"] or 0
        return max(own, settings.AXES_FAILURE_LIMIT if of_address >= settings.LOGIN_FAILURES_PER_ADDRESS else 0)

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        """Count a failure."""
        if request is None:
            return
        super().user_login_failed(sender, credentials, request, **kwargs)
        rows = AccessAttempt.objects.filter(ip_address=address_for_axes(request))
        rows.exclude(get_data="", post_data="").update(get_data="", post_data="")


def address_for_axes(request: HttpRequest) -> str | None:
    """Return the client's address; None for what is no address, such as a socket's."""
    address = address_of(request.META)
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def _is_our_proxys(request: HttpRequest) -> bool:
    """Tell whether the address is that of a proxy in front which TRUSTED_PROXY_COUNT says nothing of: it stands for everybody."""
    if settings.TRUSTED_PROXY_COUNT or FORWARDED not in request.META:
        return False
    address = address_for_axes(request)
    return address is None or not ipaddress.ip_address(address).is_global


def locked_out(request: HttpRequest, *_rest: Any) -> HttpResponse:
    """Return the page for who is locked out: the same for every name, there or not. 429, with Retry-After."""
    now, until = timezone.now(), free_again_at(request)
    seconds = max(1, round((until - now).total_seconds()))
    context = {"until": until.astimezone(timezone.get_default_timezone()), "minutes": -(-seconds // 60)}
    page = render(request, "registration/locked_out.html", context, status=429)
    page["Retry-After"] = str(seconds)
    page["Cache-Control"] = "no-store"
    return page


def free_again_at(request: HttpRequest) -> datetime:
    """Return until when, at the latest, this name is locked out at this address."""
    rows = AccessAttempt.objects.filter(ip_address=address_for_axes(request))
    mine = rows.filter(username=request.POST.get("username", ""))
    for chosen in (mine, rows):
        last = chosen.filter(attempt_time__gt=timezone.now() - settings.AXES_COOLOFF_TIME).aggregate(
            last=Max("attempt_time"), total=Sum("failures_since_start")
        )
        limit = settings.AXES_FAILURE_LIMIT if chosen is mine else settings.LOGIN_FAILURES_PER_ADDRESS
        if last["last"] and last["total"] >= limit:
            return last["last"] + settings.AXES_COOLOFF_TIME
    return timezone.now() + settings.AXES_COOLOFF_TIME
