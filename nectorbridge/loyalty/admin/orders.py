"""Orders: what customers bought, and what they got back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from events.admin.filters import ScopedDropdownFilter
from nectorbridge.loyalty import announcements, services
from nectorbridge.loyalty.admin.moments import MomentAdmin
from nectorbridge.loyalty.hand_forms import OrderForm
from nectorbridge.loyalty.models import Customer, Order, OrderStatus
from nectorbridge.loyalty.moment_forms import PlaceOrderForm, RefundForm, money

TONES = {
    OrderStatus.PLACED.value: "info",
    OrderStatus.COMPLETED.value: "success",
    OrderStatus.CANCELLED.value: "",
    OrderStatus.REFUNDED.value: "warning",
}
EDITABLE = ("number", "status")


@admin.register(Order)
class OrderAdmin(MomentAdmin):
    """Place and refund; of an order that is there only the number and the state change by hand."""

    staff_may = frozenset({"view", "add", "change"})
    form = OrderForm
    list_display = ("order", "owner", "amount", "refunded", "state", "placed_at")
    list_filter = (("customer__merchant", ScopedDropdownFilter), ("status", ChoicesDropdownFilter))
    search_fields = ("=order_id", "=number", "=customer__email", "=customer__customer_id")
    search_help_text = gettext_lazy("Whole order ID or number, customer's email or ID")
    actions_detail = ("refund",)
    add_fields = (
        ("customer", "order_id"),
        ("number", "coupon_code"),
        ("total", "discount_total"),
        ("currency", "source"),
        "portal",
        "placed_at",
    )
    page_fields = (
        ("customer", "order_id"),
        ("number", "status"),
        ("amount", "refunded"),
        ("discount", "coupon_code"),
        ("source", "portal"),
        ("placed_at", "refunded_at"),
        "sent",
    )
    empty_icon = "shopping_bag"
    empty_title = gettext_lazy("No orders yet")
    empty_text = gettext_lazy("Write one down, here or on a customer's page, and watch what is sent because of it.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Offer to write down the first order."""
        return self.first_of(request, _("Place an order"))

    def get_readonly_fields(self, request: HttpRequest, obj: Order | None = None) -> Any:
        """What was bought stays as it is; a refunded order stays refunded."""
        if obj is None:
            return ()
        fixed = set(EDITABLE) - ({"status"} if obj.status == OrderStatus.REFUNDED else set())
        return tuple(name for name in self.names(self.page_fields) if name not in fixed)

    @display(description=gettext_lazy("order"))
    def order(self, order: Order) -> str:
        """Return the number, or the ID."""
        return str(order)

    @display(description=gettext_lazy("total"))
    def amount(self, order: Order) -> str:
        """Return the total with its currency."""
        return money(order.total, order.currency)

    @display(description=gettext_lazy("refunded"))
    def refunded(self, order: Order) -> str:
        """Return what was given back."""
        return money(order.refunded_total, order.currency) if order.refunded_total else "-"

    @display(description=gettext_lazy("discount"))
    def discount(self, order: Order) -> str:
        """Return what was taken off."""
        return money(order.discount_total, order.currency) if order.discount_total else "-"

    @display(description=gettext_lazy("state"), label=TONES)
    def state(self, order: Order) -> tuple[str, str]:
        """Return the state as a coloured word."""
        return order.status, order.get_status_display()

    def save_model(self, request: HttpRequest, obj: Order, form: Any, change: bool) -> None:
        """Save; of an order that is there, what changed, and announce it. A form that changed nothing announces nothing."""
        if not change:
            super().save_model(request, obj, form, change)
        elif form.changed_data:
            with transaction.atomic():  # without the other columns: a refund of this very moment must not be overwritten
                obj.save(update_fields=[*form.changed_data, "updated_at"])
                announcements.order_updated(obj)

    # --- Verbs --------------------------------------------------------------------------------------------------------
    def offers(self, verb: str, row: Order) -> bool:
        """Offer a refund while there is something left to give back."""
        return row.status != OrderStatus.REFUNDED and row.refunded_total < row.total

    def facts_of(self, row: Order) -> list[tuple[Any, Any]]:
        """Return what is refunded."""
        return [(_("Order"), row), (_("Total"), self.amount(row)), (_("Refunded so far"), self.refunded(row))]

    @action(description=gettext_lazy("Refund"), permissions=["move"], icon="undo", url_path="refund")
    def refund(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give money back."""
        return self.verb_page(request, object_id, RefundForm, _("Refund"), refund_order, of_row=True)


def place_order(customer: Customer, form: PlaceOrderForm) -> str:
    """Write down an order as the form says. Return what to say."""
    data = form.cleaned_data
    order = services.place_order(
        customer,
        data["order_id"],
        data["total"],
        number=data["number"],
        discount_total=data["discount_total"] or 0,
        coupon_code=data["coupon_code"],
        portal=data["portal"],
    )
    return _("%(customer)s placed order %(order)s.") % {"customer": customer, "order": order}


def refund_order(order: Order, form: RefundForm) -> str:
    """Give back what the form says. Return what to say."""
    amount = form.cleaned_data["amount"]
    order = services.refund_order(order, amount, portal=form.cleaned_data["portal"])
    return _("%(amount)s of order %(order)s was refunded.") % {"amount": money(amount, order.currency), "order": order}
