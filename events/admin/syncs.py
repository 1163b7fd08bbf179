"""Customers sync: what goes to a provider apart from events, how far a push of all customers is, and who was refused."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from events import syncing
from events.admin.base import grouped, link, local, one
from events.host import get_host
from events.models import Contact, ContactStatus, ContactSync, SyncState
from integrations.admin.tabs import tabs_of
from integrations.audit import Act, note
from integrations.kept_words import said
from integrations.models import Integration, Status
from integrations.providers.base import LOYALTY_ATTRIBUTES
from integrations.scope import NeverEdited, ScopedAdmin, scoped

WANTED = "integration__id__exact"  # as in the lists of an integration's events and deliveries
RUNS_SHOWN, REASONS_SHOWN = 10, 10


@admin.register(ContactSync)
class ContactSyncAdmin(NeverEdited, ScopedAdmin):
    """One page per integration. Runs are made by the button and never edited."""

    merchant_path = "integration__merchant"
    staff_may = frozenset({"view"})

    def get_urls(self) -> list[Any]:
        """Add the progress and the two verbs."""
        wrap = self.admin_site.admin_view
        names = ("progress", "start", "stop")
        own = [
            path(f"<int:integration_id>/{name}/", wrap(getattr(self, name)), name=f"events_contactsync_{name}") for name in names
        ]
        return [*own, *super().get_urls()]

    # --- Pages -------------------------------------------------------------------------------------------------------
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show one integration's page; where none is named, which there are."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self._integrations(request)
        wanted = request.GET.get(WANTED, "")
        context = {**self.admin_site.each_context(request), "title": _("Customers sync"), **(extra_context or {})}
        if not wanted:
            found = [(row, link("events_contactsync_changelist", query=f"{WANTED}={row.pk}")) for row in rows[:200]]
            return TemplateResponse(request, "events/sync_choice.html", context | {"integrations": found})
        integration = self._find(request, wanted)
        return TemplateResponse(request, "events/sync.html", context | self._context(request, integration))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Lead from a run to its integration's page."""
        run = self.get_object(request, object_id)
        if run is None or not self.has_view_permission(request, run):
            raise Http404
        return self._back(run.integration)

    def progress(self, request: HttpRequest, integration_id: int) -> HttpResponse:
        """Return how far the run is, for the page to show."""
        run = ContactSync.objects.filter(integration=self._find(request, str(integration_id))).first()
        return JsonResponse(progress_of(run) if run else {"state": "", "share": 0, "words": "", "message": ""})

    # --- Verbs -------------------------------------------------------------------------------------------------------
    def start(self, request: HttpRequest, integration_id: int) -> HttpResponse:
        """POST: push all customers."""
        integration = self._find(request, str(integration_id))
        if request.method == "POST":
            self._check_may_change(request, integration)
            if integration.status != Status.ACTIVE:
                messages.warning(request, _("Only an active integration can be synced. Open its set-up first."))
            elif not syncing.is_pushed(integration.contract):
                messages.warning(request, _("%(name)s cannot hold these values.") % {"name": integration.label})
            else:
                note(Act.SYNC, integration, result="started")
                self.log_change(request, syncing.start_sync(integration), gettext_noop("Started."))
                messages.success(request, _("Started. You can leave this page: it goes on in the background."))
        return self._back(integration)

    def stop(self, request: HttpRequest, integration_id: int) -> HttpResponse:
        """POST: stop the run that is under way."""
        integration = self._find(request, str(integration_id))
        if request.method == "POST":
            self._check_may_change(request, integration)
            run = ContactSync.objects.filter(integration=integration, state=SyncState.RUNNING).first()
            if run and syncing.stop_sync(run):
                note(Act.SYNC, integration, result="stopped")
                self.log_change(request, run, gettext_noop("Stopped."))
                messages.success(request, _("Stopped. What was sent stays at the provider."))
        return self._back(integration)

    # --- Helpers -----------------------------------------------------------------------------------------------------
    def _integrations(self, request: HttpRequest) -> Any:
        return scoped(Integration.objects.select_related("merchant"), request.user, "merchant")

    def _find(self, request: HttpRequest, pk: str) -> Integration:
        """Return an integration of the user's merchants. Raises Http404."""
        integration: Integration | None = (
            one(self._integrations(request), pk).first() if pk.isdecimal() and len(pk) < 19 else None
        )
        if integration is None or not self.has_view_permission(request):
            raise Http404
        try:
            integration.contract  # noqa: B018 - is the provider still installed?
        except KeyError:
            raise Http404 from None
        return integration

    def _check_may_change(self, request: HttpRequest, integration: Integration) -> None:
        """Raise PermissionDenied for viewers."""
        rows = scoped(Integration.objects.filter(pk=integration.pk), request.user, "merchant", writing=True)
        if not rows.exists():
            raise PermissionDenied

    def _back(self, integration: Integration) -> HttpResponse:
        return HttpResponseRedirect(link("events_contactsync_changelist", query=f"{WANTED}={integration.pk}"))

    def _context(self, request: HttpRequest, integration: Integration) -> dict[str, Any]:
        """Return what the page shows."""
        runs = list(ContactSync.objects.filter(integration=integration)[:RUNS_SHOWN])
        contacts = Contact.objects.filter(integration=integration)
        refused = contacts.filter(status=ContactStatus.REFUSED).values_list("reason").annotate(number=Count("pk"))
        zone = integration.merchant.timezone
        may_change = scoped(Integration.objects.filter(pk=integration.pk), request.user, "merchant", writing=True).exists()
        return {
            "title": str(integration),
            "integration": integration,
            "tabs": tabs_of(integration, "sync"),
            "is_pushed": syncing.is_pushed(integration.contract),
            "is_active": integration.status == Status.ACTIVE,
            "may_change": may_change,
            "total": grouped(get_host().count_customers(integration.merchant_id)),
            "run": runs[0] if runs else None,
            "progress": progress_of(runs[0]) if runs else {},
            "runs": [(run, progress_of(run), local(run.started_at, zone), local(run.ended_at, zone)) for run in runs],
            "refused": [(reason, grouped(count)) for reason, count in refused.order_by("-number")[:REASONS_SHOWN]],
            "waiting": contacts.filter(dirty_at__isnull=False).count(),
            "attributes": attributes_of(integration.merchant.coin_name),
            "setup_url": link("integrations_integration_change", integration.pk),
            "progress_url": link("events_contactsync_progress", integration.pk),
            "coins": integration.merchant.coin_name,
        }


def attributes_of(coins: str) -> list[tuple[str, str]]:
    """Return label and name of what is kept up to date, in the merchant's word for coins; without the times beside them."""
    values = {"coins": coins.title(), "lower": coins}
    words = {
        "nector_coins": _("%(coins)s: the balance") % values,
        "nector_next_expiry_coins": _("%(coins)s that expire next") % values,
        "nector_next_expiry_at": _("When these %(lower)s expire") % values,
    }
    return [(words.get(key, str(label)), key) for key, label in LOYALTY_ATTRIBUTES.items() if not key.endswith("_as_of")]


def progress_of(run: ContactSync) -> dict[str, Any]:
    """Return how far a run is: a share from 0 to 100, and words."""
    is_over = run.state != SyncState.RUNNING
    total = max(run.total, run.handled)
    share = 100 if run.state == SyncState.DONE else min(99, 100 * run.handled // total) if total else 0
    counts = [
        (run.pushed, _("%(count)s sent")),
        (run.unchanged, _("%(count)s up to date already")),
        (run.without_identity, _("%(count)s without the common property")),
        (run.refused, _("%(count)s refused")),
    ]
    parts = [words % {"count": grouped(count)} for count, words in counts if count]
    words = _("%(done)s of %(total)s customers") % {"done": grouped(run.handled), "total": grouped(total)}
    waits = not is_over and run.next_at > timezone.now()
    return {
        "state": run.state,
        "label": run.get_state_display(),
        "over": is_over,
        "share": share,
        "words": words,
        "parts": "; ".join(parts),
        "message": said(run.message),
        "waits": _("It goes on by itself.") if waits and run.message else "",
    }
