"""How opens and clicks come back over one integration: addresses to paste, who may call them, and what came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from events import callbacks
from events.admin.base import grouped, link, local
from events.admin.pages import DefinitionPages
from events.models import CallbackReceipt, CallbackState
from events.states import EngagementKind
from integrations.admin.tabs import tabs_of
from integrations.audit import Act, note
from integrations.fields import SecretUnreadable
from integrations.kept_words import said
from integrations.models import Integration, new_token
from integrations.scope import writable_merchants_of
from integrations.secrets import MASK, mask

SHOWN = 20
COUNTED = timedelta(days=7)
LONGEST_AUTH = 300
SHORTEST_AUTH = 8
COLUMNS = ("matched", "unmatched", "unknown", "ignored")
ICONS = {
    CallbackState.WAITING.value: ("info", "schedule"),
    CallbackState.DONE.value: ("success", "check_circle"),
    CallbackState.FAILED.value: ("danger", "error"),
}


@dataclass(frozen=True, slots=True)
class Address:
    """An address to paste. `label` says for what; empty where there is only one."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A callback in the list."""

    when: str
    word: str
    tone: str
    icon: str
    kind: str
    numbers: list[str]
    detail: str


class ComingBackMixin(DefinitionPages):
    """The page, and its verbs."""

    def own_paths(self) -> list[tuple[str, Any, str]]:
        """Add the page."""
        return [*super().own_paths(), ("coming-back/<int:integration_pk>/", self.coming_back_view, "events_coming_back")]

    @method_decorator(sensitive_post_parameters("auth"))
    def coming_back_view(self, request: HttpRequest, integration_pk: int) -> HttpResponse:
        """Show the page; POST: change who may call, make a new address, or work on what failed once more."""
        integration = self.find_integration(request, integration_pk)
        may_change = writable_merchants_of(request.user).filter(pk=integration.merchant_id).exists()
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            self._act(request, integration)
            return HttpResponseRedirect(link("events_coming_back", integration.pk))
        return self.page(request, "events/coming_back.html", integration, _context(integration) | {"may_change": may_change})

    @sensitive_variables("wanted")
    def _act(self, request: HttpRequest, integration: Integration) -> None:
        """Do what was asked for."""
        verb, wanted = request.POST.get("verb"), request.POST.get("auth", "").strip()
        if verb == "auth" and not SHORTEST_AUTH <= len(wanted) <= LONGEST_AUTH:
            messages.error(request, _("At least %(number)d characters.") % {"number": SHORTEST_AUTH})
        elif verb == "auth":
            integration.callback_auth = wanted
            integration.save(update_fields=["sealed_callback_auth"])
            note(Act.SECRET, integration, fields=[gettext_noop("callback authentication")])
            messages.success(request, _("From now on only who shows this may call the addresses. Enter it at the provider."))
        elif verb == "open":
            integration.callback_auth = ""
            integration.save(update_fields=["sealed_callback_auth"])
            note(Act.CHANGED, integration, fields=[gettext_noop("callback authentication")])
            messages.success(request, _("The addresses take calls without authentication: they are secrets themselves."))
        elif verb == "address":
            integration.callback_token = new_token()
            integration.save(update_fields=["callback_token"])
            note(Act.SECRET, integration, fields=[gettext_noop("callback address")])
            messages.success(request, _("The addresses are new. Paste them at the provider: the former ones no longer work."))
        elif verb == "again":
            failed = CallbackReceipt.objects.filter(integration=integration, state=CallbackState.FAILED)
            note(Act.RUN_AGAIN, integration, what=gettext_noop("callbacks"))
            messages.success(request, _("%(number)d are worked on once more.") % {"number": callbacks.RECEIPTS.run_again(failed)})


def _context(integration: Integration) -> dict[str, Any]:
    """Return what the page shows."""
    came = CallbackReceipt.objects.filter(integration=integration)
    rows = list(came.order_by("-received_at").defer("body")[:SHOWN])
    recent = came.filter(received_at__gte=timezone.now() - COUNTED)
    counts = recent.aggregate(**{f"{name}_sum": Sum(name) for name in COLUMNS})
    masked, is_unreadable = _masked(integration)
    zone = integration.merchant.timezone
    return {
        "title": str(integration),
        "tabs": tabs_of(integration, "coming_back"),
        "guide": integration.contract.coming_back,
        "addresses": _addresses(integration),
        "auth": masked,
        "is_unreadable": is_unreadable,
        "last": local(rows[0].received_at, zone) if rows else "",
        "counts": [grouped(counts[f"{name}_sum"] or 0) for name in COLUMNS],
        "receipts": [_receipt(row, zone) for row in rows],
        "has_failed": came.filter(state=CallbackState.FAILED).exists(),
        "journey_url": _journey(integration),
    }


def _addresses(integration: Integration) -> list[Address]:
    """Return the addresses to paste: one for each kind, where the provider does not say which it is."""
    kinds = dict(EngagementKind.choices)
    names = [("", "")] if not integration.contract.coming_back.kinds else []
    names += [(kind, str(kinds[kind])) for kind in integration.contract.coming_back.kinds]
    return [Address(label, address_of(integration, kind)) for kind, label in names]


def address_of(integration: Integration, kind: str = "") -> str:
    """Return the address that a provider is to call."""
    args = [integration.provider, integration.callback_token, *([kind] if kind else [])]
    return settings.PUBLIC_URL + reverse("events:callback_kind" if kind else "events:callback", args=args)


def _masked(integration: Integration) -> tuple[str, bool]:
    """Return the authentication as a page may show it, and whether it cannot be read."""
    try:
        return mask(integration.callback_auth), False
    except SecretUnreadable:
        return MASK, True


def _receipt(row: CallbackReceipt, zone: str) -> Receipt:
    """Return a callback as the list shows it."""
    tone, icon = ICONS.get(row.state, ("", "help"))
    kind = str(dict(EngagementKind.choices).get(row.kind, ""))
    numbers = [grouped(getattr(row, name)) for name in COLUMNS]
    return Receipt(local(row.received_at, zone), str(row.get_state_display()), tone, icon, kind, numbers, said(row.detail))


def _journey(integration: Integration) -> str:
    """Return the page on which the tracked link of the first event can be copied."""
    first = integration.definitions.order_by("-enabled", "pk").values_list("pk", flat=True).first()
    return link("events_eventdefinition_journey", first) if first else ""
