"""Bulk actions: the list of runs and one run's page, with progress, what was left out and why, and a button to stop it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from unfold.decorators import display

from events import bulk
from events.admin.again import ICONS
from events.admin.base import link, local
from events.admin.bulk_progress import progress_of, rows_of, summary_of
from events.admin.delivery_filter import words_of
from events.admin.runs import RunAdmin
from events.bulk_filter import DeliveryFilter
from events.models import BulkAction, What
from integrations.audit import Act, note


@admin.register(BulkAction)
class BulkActionAdmin(RunAdmin):
    """Runs are begun from the list of deliveries and never edited."""

    list_display = ("started", "summary", "owner", "progress", "asked")
    list_display_links = ("started", "summary")
    progress_name = "events_bulkaction_progress"
    progress_of = staticmethod(progress_of)
    empty_icon = "playlist_add_check"
    empty_title = gettext_lazy("Nothing was sent again in bulk yet")
    empty_text = gettext_lazy("Filter the deliveries, for example to those that failed, then press Retry above the list.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the deliveries."""
        return link("events_eventdelivery_changelist"), _("See the deliveries")

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
        run = self.find(request, object_id)
        context = {**self.admin_site.each_context(request), **self._context(request, run)}
        return TemplateResponse(request, "events/bulk.html", context)

    def stop(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """POST: stop a run where it is."""
        run = self.find(request, str(run_id))
        if self.may_write(request, run):
            if bulk.stop(run):
                note(Act.STOP, run)
                self.log_change(request, run, gettext_noop("Stopped."))
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
            "progress_url": self.progress_url(run),
            "stop_url": link("events_bulkaction_stop", run.pk),
            "may_stop": self.is_writer(request, run),
            "which": which or [(_("Filter"), _("none: all deliveries"))],
            "rows": rows_of(run),
            "started": local(run.started_at, zone),
            "ended": local(run.ended_at, zone),
            "deliveries_url": link("events_eventdelivery_changelist"),
            "runs_url": link("events_bulkaction_changelist"),
        }
