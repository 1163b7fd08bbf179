"""One customer's data from their page: all of it as a file, and the question before all of it is forgotten."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache

from events.admin.base import link, one
from integrations.audit import Act, note
from integrations.models import Integration, Role
from integrations.roles import roles_of
from nectorbridge.loyalty import services
from nectorbridge.loyalty.admin.base import LedgerAdmin
from nectorbridge.loyalty.admin.merging import side_of
from nectorbridge.loyalty.models import Customer
from nectorbridge.loyalty.personal import erasing

REPORT = "loyalty_erasurereport_change"


class PersonalData(LedgerAdmin):
    """Export for owners and managers, erase for owners; administrators may both."""

    def get_urls(self) -> list[Any]:
        """Add both."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:object_id>/export/", wrap(self.export_view), name="loyalty_customer_export"),
            path("<int:object_id>/erase/", wrap(self.erase_view), name="loyalty_customer_erase"),
            *super().get_urls(),
        ]

    def may_erase(self, request: HttpRequest, customer: Customer) -> bool:
        """Tell whether the user is an administrator, or an owner of this very merchant."""
        user: Any = request.user
        return user.is_superuser or (user.is_staff and roles_of(user).get(customer.merchant_id) == Role.OWNER)

    def personal_context(self, request: HttpRequest, customer: Customer) -> dict[str, str]:
        """Return the addresses that the customer's page offers to this user."""
        may_export, may_erase = self.has_move_permission(request, customer.pk), self.may_erase(request, customer)
        return {
            "export_url": link("loyalty_customer_export", customer.pk) if may_export else "",
            "erase_url": link("loyalty_customer_erase", customer.pk) if may_erase else "",
        }

    @method_decorator(never_cache)
    def export_view(self, request: HttpRequest, object_id: int) -> HttpResponse | StreamingHttpResponse:
        """POST: stream all that is stored about a customer. The file's name tells nothing of them."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        customer = self._customer(request, object_id)
        if not self.has_move_permission(request, customer.pk):
            raise PermissionDenied
        note(Act.EXPORT, customer, what=gettext_noop("one customer"))
        self.log_change(request, customer, gettext_noop("All data was exported."))
        name = f"personal-data-{timezone.localdate():%Y%m%d}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        lines = services.export_customer(customer)
        return StreamingHttpResponse(lines, content_type="application/json; charset=utf-8", headers=headers)

    @method_decorator(never_cache)
    def erase_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask, with a word to be typed (GET), or forget the customer (POST) and lead to the report."""
        customer = self._customer(request, object_id)
        if not self.may_erase(request, customer):
            raise PermissionDenied
        word, problem = word_of(customer), ""
        if request.method == "POST":
            if request.POST.get("word", "").strip() != word:
                problem = _("That is not what stands there. Type it exactly as it is shown.")
            elif (answer := self._erase(request, customer)) is not None:
                return answer
            else:
                return HttpResponseRedirect(link("loyalty_customer_erase", customer.pk))
        _customer, facts = side_of(customer)
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "original": customer,
            "title": _("Erase customer"),
            "customer": customer,
            "facts": facts,
            "coins": customer.merchant.coin_name,
            "word": word,
            "problem": problem,
            "providers": providers_of(customer.merchant_id),
            "back_url": link("loyalty_customer_change", customer.pk),
        }
        return TemplateResponse(request, "loyalty/erase.html", context, status=400 if problem else 200)

    def _erase(self, request: HttpRequest, customer: Customer) -> HttpResponse | None:
        """Begin, do as much as a page can wait for, and lead to the report; None, with the reason said, where it must wait."""
        try:
            report = erasing.start(customer, request.user)
        except services.ErasureError as error:
            messages.error(request, str(error))
            return None
        note(Act.ERASE, report)
        self.log_addition(request, report, gettext_noop("A customer was erased."))
        erasing.work(report.pk)
        return HttpResponseRedirect(link(REPORT, report.pk))

    def _customer(self, request: HttpRequest, object_id: int) -> Customer:
        """Return the customer, where they are one of the user's merchants'."""
        customer: Customer | None = one(self.get_queryset(request).select_related("merchant", "wallet"), object_id).first()
        if customer is None:
            raise Http404
        return customer


def word_of(customer: Customer) -> str:
    """Return what is typed so that nobody is erased by a slip: the customer's own ID, or what there is instead."""
    return customer.customer_id or customer.email or customer.phone or f"#{customer.pk}"


def providers_of(merchant_id: int) -> list[tuple[str, Any]]:
    """Return where a merchant's customers were sent to, and how they are forgotten there."""
    found = Integration.objects.filter(merchant=merchant_id, initialized_at__isnull=False).order_by("provider")
    return [(row.label, _how(row)) for row in found]


def _how(integration: Integration) -> Any:
    """Return how somebody is forgotten at a provider; one that is no longer installed says nothing."""
    try:
        return integration.contract.forgetting
    except KeyError:
        return _("Ask the provider's support.")
