"""What the ledger's pages share: nothing is deleted, words are the merchant's, verbs are forms that post."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from events.admin.base import PageMixin, grouped, one
from events.admin.delivery_page import customer_deliveries
from integrations.scope import ScopedAdmin, scoped
from nectorbridge.loyalty.forms import WHERE, VerbForm, overdraft
from nectorbridge.loyalty.models import Customer
from nectorbridge.loyalty.services import InsufficientBalance


class LedgerAdmin(PageMixin, ScopedAdmin):
    """The base of the ledger's admins: rows are never deleted, since balances and history rest on them."""

    customer_path = ""  # from this model to its customer; empty: it is the customer

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The ledger forgets nothing."""
        return False

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer real places only as the place where something happened."""
        if db_field.name == "portal":
            kwargs["choices"] = WHERE
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    # --- Verbs --------------------------------------------------------------------------------------------------------
    def has_move_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Allow moving coins and making coupons to owners and managers of this very row's merchant."""
        rows = scoped(self.model._default_manager.all(), request.user, self._path(), writing=True)
        return request.user.is_staff and one(rows, object_id).exists()

    def customer_of(self, row: Any) -> Customer:
        """Return the customer a row belongs to."""
        for step in filter(None, self.customer_path.split("__")):
            row = getattr(row, step)
        return row

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Name the verbs in the merchant's word for coins."""
        path = "__".join(filter(None, (self.customer_path, "merchant__coin_name")))
        word = one(self.get_queryset(request), object_id).values_list(path, flat=True).first() or ""
        found = super().get_actions_detail(request, object_id)
        for item in found:
            item.description = str(item.description) % {"coins": word}
        return found

    def verb_page(
        self,
        request: HttpRequest,
        object_id: str,
        form_class: type[VerbForm],
        title: str,
        run: Callable[[Customer, Any], str],
    ) -> HttpResponse:
        """Show a verb's form (GET), or do it (POST). `run` takes customer and form and returns what to say."""
        row = one(self.get_queryset(request), object_id).first()
        if row is None:
            raise Http404
        if not self.has_move_permission(request, object_id):
            raise PermissionDenied
        customer = self.customer_of(row)
        form = form_class(request.POST if request.method == "POST" else None, zone=customer.merchant.timezone)
        if request.method == "POST" and form.is_valid() and (said := _done(run, customer, form)):
            address = customer_deliveries(customer.merchant_id, customer.ref)
            watch = _("See what is sent")
            messages.success(request, format_html('{} <a class="underline" href="{}">{}</a>', said, address, watch))
            return HttpResponseRedirect("../change/")
        title = title % {"coins": customer.merchant.coin_name}
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "original": row,
            "title": title,
            "verb": title,
            "form": form,
            "customer": customer,
            "balance": grouped(getattr(getattr(customer, "wallet", None), "balance", 0)),
            "coins": customer.merchant.coin_name,
        }
        return TemplateResponse(request, "loyalty/verb.html", context)


def _done(run: Callable[[Customer, Any], str], customer: Customer, form: VerbForm) -> str:
    """Do it and return what to say, or put the reason why not at the form and return nothing."""
    try:
        with transaction.atomic():
            return run(customer, form)
    except InsufficientBalance as error:
        form.add_error("amount", overdraft(error.balance))
    except IntegrityError:
        if "code" in form.fields:
            form.add_error("code", _("This customer already has a coupon with this code. Choose another code."))
        else:
            form.add_error(None, _("Somebody else changed the same thing at this moment. Try again."))
    except ValueError as error:
        form.add_error(None, str(error))
    return ""
