"""What staff do with an integration. Each verb changes state, logs it, and tells the person what came of it."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from integrations.models import Integration, Merchant, Status
from integrations.providers import get_provider
from integrations.scope import merchants_of, writable_merchants_of
from integrations.verification import set_status

Verb = Callable[[ModelAdmin, HttpRequest, Integration], None]


def configure(admin: ModelAdmin, request: HttpRequest) -> Integration:
    """Return the integration of the posted merchant and provider, a new draft if there is none."""
    merchant = _posted_merchant(request)
    try:
        provider = get_provider(request.POST.get("provider", ""))
    except KeyError:
        raise Http404 from None
    with transaction.atomic():
        # Locked, so that a double click makes one draft.
        Merchant.objects.select_for_update().get(pk=merchant.pk)
        found = Integration.objects.filter(merchant=merchant, provider=provider.slug).order_by("pk").first()
        if found:
            return found
        draft = Integration(merchant=merchant, provider=provider.slug, common_property=provider.identities[0][0])
        draft.save()
        admin.log_addition(request, draft, [{"added": {}}])
    return draft


def _posted_merchant(request: HttpRequest) -> Merchant:
    """Return the posted merchant. Raises Http404 for one the user does not see, PermissionDenied for a viewer."""
    wanted = request.POST.get("merchant", "")
    mine = merchants_of(request.user).filter(pk=wanted) if wanted.isdecimal() and len(wanted) < 19 else Merchant.objects.none()
    merchant = mine.first()
    if merchant is None:
        raise Http404
    if not writable_merchants_of(request.user).filter(pk=merchant.pk).exists():
        raise PermissionDenied
    return merchant


def connect(admin: ModelAdmin, request: HttpRequest, integration: Integration) -> None:
    """Initialize with what is saved. No transaction is open: this talks to the provider, for some seconds at most."""
    result = integration.initialize()
    if result.ok:
        admin.log_change(request, integration, _("Initialized."))
        messages.success(request, result.detail or _("Connected."))
        return
    admin.log_change(request, integration, _("Tried to initialize; it did not work."))
    if integration.status != Status.ATTENTION or integration.status_reason != result.reason:
        # The provider could not be asked: nothing was learned, so the page's own panel does not show it.
        messages.warning(request, f"{result.reason} {result.fix}".strip())


def pause(admin: ModelAdmin, request: HttpRequest, integration: Integration) -> None:
    """Stop sending. Only what is active can be paused: a pause must not hide that something needs attention."""
    if integration.status != Status.ACTIVE:
        messages.warning(request, _("Only an active integration can be paused."))
        return
    set_status(integration, Status.PAUSED)
    admin.log_change(request, integration, _("Paused."))
    messages.success(request, _("Paused. Waiting events are kept and sent after you resume."))


def resume(admin: ModelAdmin, request: HttpRequest, integration: Integration) -> None:
    """Send again what waits."""
    if integration.status != Status.PAUSED or integration.initialized_at is None:
        messages.warning(request, _("Only a paused integration can be resumed."))
        return
    set_status(integration, Status.ACTIVE)
    admin.log_change(request, integration, _("Resumed."))
    messages.success(request, _("Resumed. Waiting events are on their way."))
