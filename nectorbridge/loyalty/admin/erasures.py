"""Erasures of customers: how far each is, and the report of what was deleted, what was made anonymous, and what remains."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from unfold.decorators import display

from events.admin.base import link, local
from events.admin.filters import ScopedDropdownFilter
from events.admin.runs import RunAdmin
from nectorbridge.loyalty.admin import erasure_words as words
from nectorbridge.loyalty.admin.personal import providers_of
from nectorbridge.loyalty.models import ErasureReport


@admin.register(ErasureReport)
class ErasureReportAdmin(RunAdmin):
    """Erasures are begun from a customer's page and never edited."""

    list_display = ("started", "owner", "progress", "asked")
    list_filter = (("merchant", ScopedDropdownFilter),)
    list_filter_submit = True
    progress_name = "loyalty_erasure_progress"
    progress_of = staticmethod(words.progress_of)
    empty_icon = "person_off"
    empty_title = gettext_lazy("Nobody was erased yet")
    empty_text = gettext_lazy("A customer's page has “Erase”. What was done is then listed here, without a name.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the customers."""
        return link("loyalty_customer_changelist"), _("See the customers")

    def get_urls(self) -> list[Any]:
        """Add the progress."""
        progress = self.admin_site.admin_view(self.progress_view)
        return [path("<int:run_id>/progress/", progress, name="loyalty_erasure_progress"), *super().get_urls()]

    @method_decorator(never_cache)
    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show one report."""
        run = self.find(request, object_id)
        zone = run.merchant.timezone
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": _("Erasure of a customer"),
            "run": run,
            "progress": words.progress_of(run),
            "progress_url": self.progress_url(run),
            "deleted": words.deleted(run),
            "changed": words.changed(run),
            "providers": providers_of(run.merchant_id),
            "started": local(run.started_at, zone),
            "ended": local(run.ended_at, zone),
            "customers_url": link("loyalty_customer_changelist"),
            "list_url": link("loyalty_erasurereport_changelist"),
        }
        return TemplateResponse(request, "loyalty/erasure.html", context)

    @display(description=gettext_lazy("started"))
    def started(self, run: ErasureReport) -> str:
        """Return when it began, in the merchant's zone."""
        return local(run.started_at, run.merchant.timezone)
