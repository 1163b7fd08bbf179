"""Imports of customers and coins: upload, what the file would do, its progress, what came of it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.decorators.cache import never_cache
from unfold.decorators import action, display

from events.admin.base import go, grouped, link, local, one, view_of
from events.admin.csv_file import download
from events.admin.filters import ScopedDropdownFilter
from events.admin.runs import RunAdmin
from integrations.audit import Act, note
from integrations.models import Merchant
from integrations.scope import has_role, writable_merchants_of
from nectorbridge.loyalty.admin import import_words as words
from nectorbridge.loyalty.imports import storing, work
from nectorbridge.loyalty.imports.reading import Unreadable
from nectorbridge.loyalty.models import ImportRun, ImportState

UPLOAD, CHANGE, LIST = "loyalty_import_upload", "loyalty_importrun_change", "loyalty_importrun_changelist"
MOST_MERCHANTS = 500


@admin.register(ImportRun)
class ImportRunAdmin(RunAdmin):
    """Imports are begun by an upload and never edited."""

    list_display = ("uploaded", "file_name", "owner", "progress", "asked")
    list_display_links = ("uploaded", "file_name")
    list_filter = (("merchant", ScopedDropdownFilter),)
    list_filter_submit = True
    progress_name = "loyalty_import_progress"
    progress_of = staticmethod(words.progress_of)
    actions_list = ("begin",)
    empty_icon = "upload_file"
    empty_title = gettext_lazy("Nothing was imported yet")
    empty_text = gettext_lazy(
        "Upload a CSV file of customers and their %(coins)s. You see what it would do before anything happens."
    )

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Offer the upload to those who may."""
        return (link(UPLOAD), _("Import a file")) if self.has_begin_permission(request) else None

    def has_begin_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Allow uploads to owners and managers."""
        return has_role(request.user) and writable_merchants_of(request.user).exists()

    def get_urls(self) -> list[Any]:
        """Add the upload, the verbs, the progress, the errors and the sample."""
        wrap = self.admin_site.admin_view
        own = [
            ("upload/", self.upload_view, UPLOAD),
            ("sample/", self.sample_view, "loyalty_import_sample"),
            ("<int:run_id>/start/", self.start_view, "loyalty_import_start"),
            ("<int:run_id>/stop/", self.stop_view, "loyalty_import_stop"),
            ("<int:run_id>/discard/", self.discard_view, "loyalty_import_discard"),
            ("<int:run_id>/progress/", self.progress_view, "loyalty_import_progress"),
            ("<int:run_id>/errors/", self.errors_view, "loyalty_import_errors"),
        ]
        return [*(path(route, wrap(view), name=name) for route, view, name in own), *super().get_urls()]

    @action(description=gettext_lazy("Import a file"), permissions=["begin"], icon="upload_file", url_path="begin")
    def begin(self, request: HttpRequest) -> HttpResponse:
        """Lead to the upload."""
        return go(request, link(UPLOAD))

    # --- Pages -------------------------------------------------------------------------------------------------------
    @method_decorator(never_cache)
    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a file (GET), or store it and show what it would do (POST)."""
        if not self.has_begin_permission(request):
            raise PermissionDenied
        merchants, problem = list(writable_merchants_of(request.user)[:MOST_MERCHANTS]), ""
        if request.method == "POST":
            merchant = one(writable_merchants_of(request.user), request.POST.get("merchant") or merchants[0].pk).first()
            if merchant is None:
                raise Http404
            try:
                run = _taken(request, merchant)
            except Unreadable as error:
                problem = str(error)
            else:
                note(Act.IMPORT, run, result="uploaded")
                self.log_change(request, run, gettext_noop("Uploaded."))
                return HttpResponseRedirect(link(CHANGE, run.pk))
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": _("Import customers and %(coins)s") % {"coins": view_of(request).coins},
            "coins": view_of(request).coins,
            "merchants": merchants,
            "chosen": request.POST.get("merchant") or request.GET.get("merchant", ""),
            "problem": problem,
            "most": f"{settings.IMPORT_MAX_MEGABYTES:g}",
            "sample_url": link("loyalty_import_sample"),
            "list_url": link(LIST),
        }
        return TemplateResponse(request, "loyalty/import_upload.html", context, status=400 if problem else 200)

    @method_decorator(never_cache)
    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show what an import would do, how far it is, or what came of it."""
        run = self.find(request, object_id)
        context = {**self.admin_site.each_context(request), **self._context(request, run)}
        page = "import_preview" if run.state == ImportState.DRAFT else "import_run"
        return TemplateResponse(request, f"loyalty/{page}.html", context)

    def errors_view(self, request: HttpRequest, run_id: int) -> StreamingHttpResponse:
        """Stream what is wrong with which row as CSV."""
        run = self.find(request, str(run_id))
        note(Act.EXPORT, run, what=gettext_noop("errors of an import"))
        return download(f"import-{run.pk}-errors.csv", words.fault_lines(run))

    def sample_view(self, request: HttpRequest) -> StreamingHttpResponse:
        """Return a file to begin with."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return download("import-sample.csv", [words.sample()])

    # --- Verbs -------------------------------------------------------------------------------------------------------
    def start_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """POST: begin."""
        run = self.find(request, str(run_id))
        if self.may_write(request, run):
            if work.start(run, request.user, starts_journeys=request.POST.get("starts_journeys") == "on"):
                note(Act.IMPORT, run, result="started")
                self.log_change(request, run, gettext_noop("Started."))
                messages.success(request, _("Started. You can leave this page: it goes on in the background."))
            else:
                messages.warning(request, _("It was started already."))
        return HttpResponseRedirect(link(CHANGE, run.pk))

    def stop_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """POST: stop where it is."""
        run = self.find(request, str(run_id))
        if self.may_write(request, run):
            if work.stop(run):
                note(Act.IMPORT, run, result="stopped")
                self.log_change(request, run, gettext_noop("Stopped."))
                messages.success(request, _("Stopped. What was imported so far stays."))
            else:
                messages.warning(request, _("It was over already."))
        return HttpResponseRedirect(link(CHANGE, run.pk))

    def discard_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """POST: forget a file that was not started."""
        run = self.find(request, str(run_id))
        if not self.may_write(request, run):
            return HttpResponseRedirect(link(CHANGE, run.pk))
        key, merchant = run.pk, run.merchant_id
        if not work.discard(run):
            messages.warning(request, _("It was started already."))
            return HttpResponseRedirect(link(CHANGE, run.pk))
        note(Act.IMPORT, merchant=merchant, result="discarded", key=key)
        messages.success(request, _("The file is forgotten. Nothing was imported."))
        return HttpResponseRedirect(link(LIST))

    # --- Columns -----------------------------------------------------------------------------------------------------
    @display(description=gettext_lazy("uploaded"))
    def uploaded(self, run: ImportRun) -> str:
        """Return when it was uploaded, in the merchant's zone."""
        return local(run.created_at, run.merchant.timezone)

    # --- Helpers -----------------------------------------------------------------------------------------------------
    def _context(self, request: HttpRequest, run: ImportRun) -> dict[str, Any]:
        """Return what the page shows."""
        zone = run.merchant.timezone
        shown = {
            "opts": self.opts,
            "title": run.file_name,
            "run": run,
            "coins": run.merchant.coin_name,
            "may_write": self.is_writer(request, run),
            "uploaded": local(run.created_at, zone),
            "started": local(run.started_at, zone),
            "ended": local(run.ended_at, zone),
            "list_url": link(LIST),
            "customers_url": link("loyalty_customer_changelist", query=f"merchant__id__exact={run.merchant_id}"),
        }
        if run.state == ImportState.DRAFT:
            verbs = {name: link(f"loyalty_import_{name}", run.pk) for name in ("start", "discard")}
            return shown | {"verbs": verbs, "preview": words.preview_of(run)}
        return shown | {
            "progress": words.progress_of(run),
            "progress_url": self.progress_url(run),
            "stop_url": link("loyalty_import_stop", run.pk),
            "errors_url": link("loyalty_import_errors", run.pk),
            "results": [(capfirst(label), grouped(count)) for label, count in words.results_of(run)],
            "failed": grouped(run.failed),
        }


def _taken(request: HttpRequest, merchant: Merchant) -> ImportRun:
    """Return the import of an uploaded file. Raises Unreadable."""
    upload = request.FILES.get("file")
    if upload is None or upload.file is None:
        raise Unreadable(_("Choose a file first."))
    return storing.take(merchant, request.user, upload.file, upload.name or "", upload.size or 0)
