"""Home: what was sent, what waits, what needs a person. Scoped to the user's merchants."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from events.admin.base import link, view_of
from events.admin.periods import choices, period_of
from events.models import Worker
from integrations.models import Merchant
from integrations.roles import sees_all
from integrations.scope import merchants_of
from nectorbridge.dashboard.figures import asides, chart, count, tiles
from nectorbridge.dashboard.health import Card, cards, troubles
from nectorbridge.dashboard.start import guides

CANARY = timedelta(seconds=30)
NOON, EVENING = 12, 18


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Fill unfold's home page. The callback named in the settings."""
    user = request.user
    merchants = None if sees_all(user) else list(merchants_of(user).values_list("pk", flat=True))
    now = timezone.now()
    context |= {"title": _("Home"), "greeting": greeting(request), "is_administrator": user.is_superuser}
    if user.is_superuser:
        context["worker_alive"] = Worker.objects.filter(canary_at__gte=now - CANARY).exists()
    if merchants == []:
        return context | {"no_merchant": True}
    zone = view_of(request).zone
    period = period_of(request.GET, zone, now)
    counted = count(merchants, period)
    number = Merchant.objects.count() if merchants is None else len(merchants)
    started = guides(merchants, user)
    integrations = cards(merchants, now)
    return context | {
        "zone": zone,
        "period": period,
        "periods": choices(period),
        "tiles": tiles(counted, period),
        "asides": asides(counted, period),
        "chart": chart(counted, str(period.unit)),
        "integrations": integrations,
        "troubles": troubles(merchants, period),
        "guides": started,
        "is_new": bool(started or not number) and not counted.total and not any(map(_is_in_use, integrations)),
        "many_merchants": number > 1,
        "add_merchant": "" if number else link("integrations_merchant_add"),
    }


def _is_in_use(card: Card) -> bool:
    """Tell whether an integration is connected, or sent something lately."""
    return bool(card.integration.initialized_at or card.last_success)


def greeting(request: HttpRequest) -> str:
    """Return the words for the time of day where the merchant is."""
    hour = timezone.now().astimezone(ZoneInfo(view_of(request).zone)).hour
    words = _("Good morning, %(name)s") if hour < NOON else _("Good afternoon, %(name)s")
    words = _("Good evening, %(name)s") if hour >= EVENING else words
    user: Any = request.user
    return words % {"name": user.get_short_name() or user.get_username()}
