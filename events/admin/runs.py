"""What the pages of long runs share: they are begun elsewhere, never edited, and show how far they are while they go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from events.admin.base import PageMixin, one
from integrations.scope import NeverEdited, ScopedAdmin, scoped


class RunAdmin(NeverEdited, PageMixin, ScopedAdmin):
    """Runs of one kind. `progress_name` is the name of the address that tells how far one is."""

    merchant_path = "merchant"
    staff_may = frozenset({"view"})
    list_select_related = ("merchant", "asked_by")
    list_per_page = 25
    sortable_by = ()
    actions = None
    progress_name: str
    progress_of: Callable[[Any], dict[str, Any]]  # of a run: what its page and the script show

    class Media:
        js = ("events/bulk.js",)

    def progress_view(self, request: HttpRequest, run_id: int) -> JsonResponse:
        """Return how far a run is, for a page to show."""
        return JsonResponse(self.progress_of(self.find(request, str(run_id))))

    def progress_url(self, run: Any) -> str:
        """Return the address that tells how far a run is."""
        return reverse(f"admin:{self.progress_name}", args=[run.pk])

    # --- Columns -----------------------------------------------------------------------------------------------------
    @display(description=gettext_lazy("merchant"))
    def owner(self, run: Any) -> str:
        """Return whose rows they are."""
        return str(run.merchant)

    @display(description=gettext_lazy("progress"))
    def progress(self, run: Any) -> SafeString:
        """Return how far it is, kept fresh by the page's script."""
        shown = {"progress": self.progress_of(run), "progress_url": self.progress_url(run)}
        return mark_safe(render_to_string("events/bulk_progress.html", shown))  # noqa: S308 - a template's own escaping

    @display(description=gettext_lazy("asked by"))
    def asked(self, run: Any) -> str:
        """Return who asked for it."""
        return str(run.asked_by or "-")

    # --- Who may -----------------------------------------------------------------------------------------------------
    def find(self, request: HttpRequest, pk: str) -> Any:
        """Return a run of the user's merchants. Raises Http404."""
        rows = self.get_queryset(request).select_related("merchant", "asked_by")
        run = one(rows, pk).first() if pk.isdecimal() and len(pk) < 19 else None
        if run is None or not self.has_view_permission(request, run):
            raise Http404
        return run

    def is_writer(self, request: HttpRequest, run: Any) -> bool:
        """Tell whether the user may act for the run's merchant."""
        return scoped(self.model._default_manager.filter(pk=run.pk), request.user, "merchant", writing=True).exists()

    def may_write(self, request: HttpRequest, run: Any) -> bool:
        """Tell whether this is a POST, by somebody who may. Raises PermissionDenied where they may not."""
        if request.method != "POST":
            return False
        if not self.is_writer(request, run):
            raise PermissionDenied
        return True
