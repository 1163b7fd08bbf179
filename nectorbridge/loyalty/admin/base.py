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
from integrations.audit import Act, note
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

    def offers(self, verb: str, row: Any) -> bool:
        """Tell whether a row's page offers that verb at its top: some are for one state only, some stand elsewhere."""
        return True

    def facts_of(self, row: Any) -> list[tuple[Any, Any]]:
        """Return what the page of a verb says about the row, as label and value."""
        return []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Return the verbs that the row's page offers, named in the merchant's word for coins."""
        path = "__".join(filter(None, (self.customer_path, "merchant")))
        row = one(self.get_queryset(request).select_related(path), object_id).first()
        if row is None:
            return []
        words = {"coins": self.customer_of(row).merchant.coin_name}
        start = f"{self.opts.app_label}_{self.opts.model_name}_"
        found = super().get_actions_detail(request, object_id)
        found = [item for item in found if self.offers(item.action_name.removeprefix(start), row)]
        for item in found:
            item.description = str(item.description) % words
        return found

    def verb_page(
        self,
        request: HttpRequest,
        object_id: str,
        form_class: type[VerbForm],
        title: str,
        run: Callable[[Any, Any], str],
        *,
        of_row: bool = False,
    ) -> HttpResponse:
        """Show a verb's form (GET), or do it (POST).

        `run` takes the customer (`of_row`: the row itself) and the form, and returns what to say.
        """
        row = one(self.get_queryset(request), object_id).first()
        if row is None:
            raise Http404
        if not self.has_move_permission(request, object_id):
            raise PermissionDenied
        customer = self.customer_of(row)
        form = form_class(request.POST if request.method == "POST" else None, customer=customer, row=row)
        if request.method == "POST" and form.is_valid() and (said := _done(run, row if of_row else customer, form)):
            note(Act.LEDGER, row, what=_verb_of(request))
            address = customer_deliveries(customer.merchant_id, *customer.refs())
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
            "facts": self.facts_of(row),
            "balance": grouped(getattr(getattr(customer, "wallet", None), "balance", 0)),
            "coins": customer.merchant.coin_name,
        }
        return TemplateResponse(request, "loyalty/verb.html", context)


def _verb_of(request: HttpRequest) -> str:
    """Return the verb's own name: the last part of its address."""
    return request.path.rstrip("/").rpartition("/")[2]


def _done(run: Callable[[Any, Any], str], subject: Any, form: VerbForm) -> str:
    """Do it and return what to say, or put the reason why not at the form and return nothing."""
    try:
        with transaction.atomic():
            return run(subject, form)
    except InsufficientBalance as error:
        form.add_error("amount", overdraft(error.balance))
    except IntegrityError:
        if "code" in form.fields:
            form.add_error("code", _("This customer already has a coupon with this code. Choose another code."))
        else:
            form.add_error(None, _("Somebody else changed the same thing at this moment. Try again."))
    except ValueError as error:
        form.add_error(form.blamed or None, str(error))
    return ""
