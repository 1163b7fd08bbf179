"""The pages of integrations: catalogue, set-up with its progress, and the verbs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from integrations.admin import verbs
from integrations.admin.catalogue import CHANGE, catalogue_context, mark_of, purpose_of, state_of
from integrations.admin.progress import progress_of
from integrations.admin.setup_page import setup_context
from integrations.admin.tabs import tabs_of
from integrations.audit import Act, note
from integrations.candidates import is_in_use, seal
from integrations.forms import SetupForm
from integrations.models import Integration, Status
from integrations.scope import ScopedAdmin

CHANGELIST = "admin:integrations_integration_changelist"
VERBS = ("initialize", "discard", "pause", "resume", "disconnect")
CONNECT_BUTTON = "_initialize"  # the submit button that saves and then initializes


@admin.register(Integration)
class IntegrationAdmin(ScopedAdmin):
    """Integrations. They are made by *Configure* in the catalogue; only administrators may delete one."""

    merchant_path = "merchant"
    staff_may = frozenset({"view", "change"})
    search_fields = ["merchant__name", "provider"]
    list_select_related = ["merchant"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow no add page: the catalogue makes integrations."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Integration]:
        """Return the user's integrations with their merchants."""
        rows: QuerySet[Integration] = super().get_queryset(request).select_related("merchant")
        return rows

    def get_urls(self) -> list[Any]:
        """Add the verbs. Each answers POST only; a GET leads back to the page it belongs to."""
        own: list[tuple[str, Any, str]] = [("configure/", self.configure_view, "configure")]
        own += [("<path:object_id>/progress/", self.progress_view, "progress")]
        own += [(f"<path:object_id>/{name}/", getattr(self, f"{name}_view"), name) for name in VERBS]
        wrap = self.admin_site.admin_view
        urls = [path(route, wrap(view), name=f"integrations_integration_{name}") for route, view, name in own]
        return [*urls, *super().get_urls()]

    # --- Pages -------------------------------------------------------------------------------------------------------
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the catalogue, to any member of staff: who has no merchant is told what to do."""
        context = {**self.admin_site.each_context(request), "title": _("Integrations"), **catalogue_context(request)}
        return TemplateResponse(request, "integrations/catalogue.html", context | (extra_context or {}))

    @method_decorator(sensitive_post_parameters())
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the set-up page; a POST saves it, and with the Initialize button connects as well."""
        integration = self.find(request, object_id)
        if request.method == "POST":
            return self._save(request, integration)
        return self._page(request, integration, SetupForm(integration=integration))

    def _save(self, request: HttpRequest, integration: Integration) -> HttpResponse:
        """Save the form or show it again with its errors."""
        self.check_may_change(request, integration)
        if integration.status == Status.INITIALIZING:
            messages.warning(request, verbs.CHECK_UNDER_WAY)
            return self.back_to(integration)
        connecting = CONNECT_BUTTON in request.POST
        form = SetupForm(request.POST, integration=integration, connecting=connecting)
        if not form.is_valid():
            form.hide_typed_secrets()
            return self._page(request, integration, form)
        self._take(request, integration, form, connecting)
        return self.back_to(integration)

    def _take(self, request: HttpRequest, integration: Integration, form: SetupForm, connecting: bool) -> None:
        """Save a valid form, and check it where that is asked for or the values are in use."""
        changed, secrets = form.changes(), form.replaced_secrets()
        pending = integration.sealed_candidate is not None
        if not changed and not connecting:
            if pending:  # typed back to what is in use
                verbs.discard(self, request, integration)
            else:
                messages.info(request, _("Nothing was changed."))
            return
        if is_in_use(integration):  # what works goes on until the new values have proved themselves
            columns = {"sealed_candidate": seal(integration, form.wanted()) if changed else None}
            taken = verbs.start_check(request, integration, resumes=connecting, **columns)
        elif connecting or integration.initialized_at:
            taken = verbs.start_check(request, integration, resumes=True, **form.columns())
        elif taken := form.save():
            messages.success(request, _("Saved. When all values are in, click Initialize."))
        else:
            messages.warning(request, verbs.CHECK_UNDER_WAY)
        if taken and changed:
            self.log_change(request, integration, [{"changed": {"fields": changed}}])
            if secrets:
                note(Act.SECRET, integration, fields=secrets)

    def _page(self, request: HttpRequest, integration: Integration, form: SetupForm) -> HttpResponse:
        """Return the set-up page."""
        may_change = self.has_change_permission(request, integration)
        context = {
            **self.admin_site.each_context(request),
            **setup_context(integration, form),
            "title": str(integration),
            "state": state_of(integration.status),
            "mark": mark_of(integration.contract),
            "purpose": purpose_of(integration.contract, integration.merchant),
            "may_change": may_change,
            "may_edit": may_change and integration.status != Status.INITIALIZING,
            "tabs": tabs_of(integration, "setup"),
            "may_delete": self.has_delete_permission(request, integration),
        }
        return TemplateResponse(request, "integrations/setup.html", context)

    # --- Verbs -------------------------------------------------------------------------------------------------------
    def configure_view(self, request: HttpRequest) -> HttpResponse:
        """POST: open the merchant's integration with a provider, making a draft if there is none."""
        if request.method != "POST":
            return HttpResponseRedirect(reverse(CHANGELIST))
        return self.back_to(verbs.configure(self, request))

    def initialize_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """POST: check the saved values, or the new ones that wait, at the provider."""
        return self._verb(request, object_id, verbs.connect)

    def progress_view(self, request: HttpRequest, object_id: str) -> JsonResponse:
        """GET: how far the check is, as JSON, for the page that waits for it."""
        return JsonResponse(progress_of(self.find(request, object_id)).as_json())

    def discard_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """POST: forget new values that wait for their check."""
        return self._verb(request, object_id, verbs.discard)

    def disconnect_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """POST: delete the credentials and cancel what waits."""
        return self._verb(request, object_id, verbs.disconnect)

    def pause_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """POST: stop sending; events wait."""
        return self._verb(request, object_id, verbs.pause)

    def resume_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """POST: send again."""
        return self._verb(request, object_id, verbs.resume)

    def _verb(self, request: HttpRequest, object_id: str, verb: verbs.Verb) -> HttpResponse:
        """Do something to an integration that the user may change, and return to its page."""
        integration = self.find(request, object_id)
        if request.method == "POST":
            self.check_may_change(request, integration)
            verb(self, request, integration)
        return self.back_to(integration)

    # --- Helpers -----------------------------------------------------------------------------------------------------
    def find(self, request: HttpRequest, object_id: str) -> Integration:
        """Return the integration. Raises Http404 where it does not exist, is another merchant's, or has no provider."""
        integration: Integration | None = self.get_object(request, object_id)
        if integration is None or not self.has_view_permission(request, integration):
            raise Http404
        try:
            integration.contract  # noqa: B018 - is the provider still installed?
        except KeyError:
            raise Http404 from None
        return integration

    def check_may_change(self, request: HttpRequest, integration: Integration) -> None:
        """Raise PermissionDenied for viewers."""
        if not self.has_change_permission(request, integration):
            raise PermissionDenied

    def back_to(self, integration: Integration) -> HttpResponseRedirect:
        """Return to the set-up page."""
        return HttpResponseRedirect(reverse(CHANGE, args=[integration.pk]))
