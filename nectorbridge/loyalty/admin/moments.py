"""What the pages of orders, reviews, referrals and tiers share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from events.admin.base import link
from events.admin.delivery_page import customer_deliveries
from nectorbridge.loyalty.admin.base import LedgerAdmin


class MomentAdmin(LedgerAdmin):
    """Rows that are added by hand and by services; what happened is not rewritten."""

    merchant_path = "customer__merchant"
    customer_path = "customer"
    staff_may = frozenset({"view", "add"})
    autocomplete_fields: tuple[str, ...] = ("customer",)
    list_select_related: Any = ("customer__merchant",)
    list_filter_submit = True
    search_fields: tuple[str, ...] = ("=customer__email", "=customer__customer_id")
    search_help_text = gettext_lazy("Customer's email or ID")
    ordering = ("-id",)
    sortable_by = ()
    add_fields: tuple[Any, ...] = ()
    page_fields: tuple[Any, ...] = ()  # of a row that is there; a pair stands side by side

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ask for what a new row needs, and show all of one that is there."""
        return self.page_fields if obj else self.add_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What happened stays as it is."""
        return tuple(self.names(self.page_fields)) if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody rewrites what happened, unless the class lists it."""
        return "change" in self.staff_may and super().has_change_permission(request, obj)

    @staticmethod
    def names(fields: Iterable[Any]) -> list[str]:
        """Return the names of fields, some of which stand in pairs."""
        return [name for item in fields for name in ((item,) if isinstance(item, str) else item)]

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the customers."""
        return link("loyalty_customer_changelist"), _("See the customers")

    def first_of(self, request: HttpRequest, label: str) -> tuple[str, str] | None:
        """Return the way to add the first row, for those who may."""
        return (link(f"loyalty_{self.opts.model_name}_add"), label) if self.has_add_permission(request) else None

    @display(description=gettext_lazy("customer"))
    def owner(self, row: Any) -> str:
        """Return whose row it is."""
        return str(row.customer)

    @display(description=gettext_lazy("what was sent"))
    def sent(self, row: Model) -> Any:
        """Link to everything of the customer."""
        customer = self.customer_of(row)
        address = customer_deliveries(customer.merchant_id, *customer.refs())
        return format_html('<a class="text-link" href="{}">{}</a>', address, _("Everything of this customer"))
