"""What staff do with an integration. Each verb changes state, logs it, and tells the person what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from integrations import background, disconnecting
from integrations.audit import Act, note
from integrations.models import Integration, Merchant, Status
from integrations.providers import get_provider
from integrations.scope import merchants_of, writable_merchants_of
from integrations.verification import recover_interrupted, set_status

CHECK_UNDER_WAY = gettext_lazy("A check is under way, or something was changed just now. Look at the page, then try again.")
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
    """Check what is saved, or the new values that wait. Where no worker took a check up, do it right here."""
    recover_interrupted(timezone.now())
    integration.refresh_from_db()
    if background.waits_long(integration):
        background.run(integration.pk)
    else:
        start_check(request, integration, resumes=integration.sealed_candidate is None)


def start_check(request: HttpRequest, integration: Integration, resumes: bool, **columns: Any) -> bool:
    """Begin a check in the background, with `columns` saved along. No transaction is open: it may run right here."""
    if not background.begin(integration, request.user.pk, resumes, **columns):
        messages.warning(request, CHECK_UNDER_WAY)
        return False
    note(Act.INITIALIZE, integration, result="asked")
    if not background.ask_worker(integration):
        messages.warning(request, _("The task queue could not be reached, so the check was made right here."))
        background.run(integration.pk)
    return True


def discard(admin: ModelAdmin, request: HttpRequest, integration: Integration) -> None:
    """Forget new values that wait for their check."""
    if not background.discard(integration):
        messages.warning(request, _("There are no new values to discard."))
        return
    note(Act.DISCARD, integration)
    admin.log_change(request, integration, gettext_noop("Discarded new values."))
    messages.success(request, _("The new values were discarded. The previous ones stay in use."))


def disconnect(admin: ModelAdmin, request: HttpRequest, integration: Integration) -> None:
    """Delete the credentials and cancel what waits."""
    if not disconnecting.is_connected(integration):
        messages.warning(request, _("There is nothing to disconnect."))
        return
    cancelled = disconnecting.disconnect(integration)
    words = ngettext("%(count)d waiting event was cancelled.", "%(count)d waiting events were cancelled.", cancelled)
    words %= {"count": cancelled}
    note(Act.DISCONNECT, integration, cancelled=cancelled)
    admin.log_change(request, integration, gettext_noop("Disconnected.") + f" {words}")
    messages.success(request, _("Disconnected; the credentials were deleted.") + (f" {words}" if cancelled else ""))


def pause(admin: ModelAdmin, request: HttpRequest, integration: Integration) -> None:
    """Stop sending. Only what is active can be paused: a pause must not hide that something needs attention."""
    if integration.status != Status.ACTIVE:
        messages.warning(request, _("Only an active integration can be paused."))
        return
    set_status(integration, Status.PAUSED)
    note(Act.PAUSE, integration)
    admin.log_change(request, integration, gettext_noop("Paused."))
    messages.success(request, _("Paused. Waiting events are kept and sent after you resume."))


def resume(admin: ModelAdmin, request: HttpRequest, integration: Integration) -> None:
    """Send again what waits."""
    if integration.status != Status.PAUSED or integration.initialized_at is None:
        messages.warning(request, _("Only a paused integration can be resumed."))
        return
    set_status(integration, Status.ACTIVE)
    note(Act.RESUME, integration)
    admin.log_change(request, integration, gettext_noop("Resumed."))
    messages.success(request, _("Resumed. Waiting events are on their way."))
