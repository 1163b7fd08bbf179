"""Bulk actions: the list of runs and one run's page, with progress, what was left out and why, and a button to stop it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from events import bulk
from events.admin.again import ICONS
from events.admin.base import PageMixin, link, local, one
from events.admin.bulk_progress import progress_of, rows_of, summary_of
from events.admin.delivery_filter import words_of
from events.bulk_filter import DeliveryFilter
from events.models import BulkAction, What
from integrations.scope import ScopedAdmin, scoped


@admin.register(BulkAction)
class BulkActionAdmin(PageMixin, ScopedAdmin):
    """Runs are begun from the list of deliveries and never edited."""

    merchant_path = "merchant"
    staff_may = frozenset({"view"})
    list_display = ("started", "summary", "owner", "progress", "asked")
    list_display_links = ("started", "summary")
    list_select_related = ("merchant", "asked_by")
    list_per_page = 25
    sortable_by = ()
    actions = None
    empty_icon = "playlist_add_check"
    empty_title = gettext_lazy("Nothing was sent again in bulk yet")
    empty_text = gettext_lazy("Filter the deliveries, for example to those that failed, then press Retry above the list.")

    class Media:
        js = ("events/bulk.js",)

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the deliveries."""
        return link("events_eventdelivery_changelist"), _("See the deliveries")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Runs are begun from the list of deliveries."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Runs are not edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Runs are kept."""
        return False

    def get_urls(self) -> list[Any]:
        """Add the progress and the one verb."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:run_id>/progress/", wrap(self.progress_view), name="events_bulkaction_progress"),
            path("<int:run_id>/stop/", wrap(self.stop), name="events_bulkaction_stop"),
            *super().get_urls(),
        ]

    # --- Pages -------------------------------------------------------------------------------------------------------
    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show one run."""
        run = self._find(request, object_id)
        context = {**self.admin_site.each_context(request), **self._context(request, run)}
        return TemplateResponse(request, "events/bulk.html", context)

    def progress_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Return how far a run is, for a page to show."""
        return JsonResponse(progress_of(self._find(request, str(run_id))))

    def stop(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """POST: stop a run where it is."""
        run = self._find(request, str(run_id))
        if request.method == "POST":
            if not self._may_stop(request, run):
                raise PermissionDenied
            if bulk.stop(run):
                self.log_change(request, run, _("Stopped."))
                messages.success(request, _("Stopped. What was done so far stays done."))
            else:
                messages.warning(request, _("It was over already."))
        return HttpResponseRedirect(link("events_bulkaction_change", run.pk))

    # --- Columns -----------------------------------------------------------------------------------------------------
    @display(description=gettext_lazy("started"))
    def started(self, run: BulkAction) -> str:
        """Return when it began, in the merchant's zone."""
        return local(run.started_at, run.merchant.timezone)

    @display(description=gettext_lazy("what"))
    def summary(self, run: BulkAction) -> str:
        """Return what it does."""
        return summary_of(run)

    @display(description=gettext_lazy("merchant"))
    def owner(self, run: BulkAction) -> str:
        """Return whose deliveries they are."""
        return str(run.merchant)

    @display(description=gettext_lazy("progress"))
    def progress(self, run: BulkAction) -> SafeString:
        """Return how far it is, kept fresh by the page's script."""
        shown = {"progress": progress_of(run), "progress_url": link("events_bulkaction_progress", run.pk)}
        return mark_safe(render_to_string("events/bulk_progress.html", shown))  # noqa: S308 - a template's own escaping

    @display(description=gettext_lazy("asked by"))
    def asked(self, run: BulkAction) -> str:
        """Return who asked for it."""
        return str(run.asked_by or "-")

    # --- Helpers -----------------------------------------------------------------------------------------------------
    def _find(self, request: HttpRequest, pk: str) -> BulkAction:
        """Return a run of the user's merchants. Raises Http404."""
        rows = self.get_queryset(request).select_related("merchant", "asked_by")
        run: BulkAction | None = one(rows, pk).first() if pk.isdecimal() and len(pk) < 19 else None
        if run is None or not self.has_view_permission(request, run):
            raise Http404
        return run

    def _may_stop(self, request: HttpRequest, run: BulkAction) -> bool:
        """Tell whether the user may act for the run's merchant."""
        return scoped(BulkAction.objects.filter(pk=run.pk), request.user, "merchant", writing=True).exists()

    def _context(self, request: HttpRequest, run: BulkAction) -> dict[str, Any]:
        """Return what the page shows."""
        zone = run.merchant.timezone
        with timezone.override(zone):
            try:
                which = words_of(request, DeliveryFilter.thawed(run.filter))
            except ValueError:  # frozen by another version
                which = []
        return {
            "title": summary_of(run),
            "run": run,
            "icon": ICONS[What(run.what)],
            "progress": progress_of(run),
            "progress_url": link("events_bulkaction_progress", run.pk),
            "stop_url": link("events_bulkaction_stop", run.pk),
            "may_stop": self._may_stop(request, run),
            "which": which or [(_("Filter"), _("none: all deliveries"))],
            "rows": rows_of(run),
            "started": local(run.started_at, zone),
            "ended": local(run.ended_at, zone),
            "deliveries_url": link("events_eventdelivery_changelist"),
            "runs_url": link("events_bulkaction_changelist"),
        }
