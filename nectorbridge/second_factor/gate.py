"""Who may go on: people with an authenticator app show a code of it first, and people who need one set it up first."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from integrations.models import Merchant
from nectorbridge.models import SecondFactor

SESSION_KEY = "second_factor"  # holds the uid of the app whose code was shown


class Standing(Enum):
    """What a person has to do before anything else."""

    FREE = auto()
    SHOW = auto()  # enter a code
    ENROL = auto()  # set an app up


def is_required_of_administrator(is_superuser: bool) -> bool:
    """Tell whether the installation requires a second factor of this person, whatever merchants do."""
    return bool(settings.SECOND_FACTOR_FOR_ADMINISTRATORS and is_superuser)


def is_required(user: Any) -> bool:
    """Tell whether one of the user's merchants, or the installation, requires a second factor."""
    if is_required_of_administrator(user.is_superuser):
        return True
    return Merchant.objects.filter(membership__user=user.pk, requires_second_factor=True).exists()


def standing(user: Any, session: Any) -> Standing:
    """Return what this person has to do. One question to the database."""
    own = SecondFactor.objects.filter(user=OuterRef("pk"), confirmed=True).values("uid")[:1]
    asks = Merchant.objects.filter(membership__user=OuterRef("pk"), requires_second_factor=True)
    found = get_user_model().objects.filter(pk=user.pk).values_list(Subquery(own), Exists(asks), "is_superuser")
    uid, is_asked_for, is_superuser = found.first() or (None, False, False)
    if uid:
        return Standing.FREE if session.get(SESSION_KEY) == str(uid) else Standing.SHOW
    return Standing.ENROL if is_asked_for or is_required_of_administrator(is_superuser) else Standing.FREE


def passed(request: HttpRequest, factor: SecondFactor) -> None:
    """Note in the session, under a new key, that a code of this app was shown."""
    request.session.cycle_key()
    request.session[SESSION_KEY] = str(factor.uid)


class SecondFactorMiddleware:
    """Leads whoever has something to do first to the page for it. Public addresses are not looked at."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Look the addresses up once."""
        self._get_response = get_response
        self._admin = reverse("admin:index")
        self._page = reverse("second_factor")
        self._free = (self._page, reverse("admin:login"), reverse("admin:logout"), reverse("admin:jsi18n"))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, or lead elsewhere."""
        path = request.path_info
        if not path.startswith(self._admin) or path in self._free or not request.user.is_authenticated:
            return self._get_response(request)
        if standing(request.user, request.session) is Standing.FREE:
            return self._get_response(request)
        query = f"?{urlencode({'next': request.get_full_path()})}" if request.method == "GET" else ""
        return HttpResponseRedirect(self._page + query)
