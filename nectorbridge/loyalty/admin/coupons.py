"""Coupons: what customers may use."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.formats import localize
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from events.admin.base import go, link, one
from integrations.audit import Act, note
from nectorbridge.loyalty import services
from nectorbridge.loyalty.admin.base import LedgerAdmin
from nectorbridge.loyalty.forms import CouponForm
from nectorbridge.loyalty.models import Coupon, CouponStatus, ValueClass

TONES = {
    CouponStatus.ISSUED.value: "info",
    CouponStatus.REDEEMED.value: "success",
    CouponStatus.EXPIRED.value: "",
    CouponStatus.CANCELLED.value: "",
}
USED_DIALOG = {
    "title": gettext_lazy("Mark this coupon as used?"),
    "description": gettext_lazy("This is announced to your providers as a redeemed coupon and cannot be undone."),
    "form_submit_text": gettext_lazy("Mark as used"),
}


@admin.register(Coupon)
class CouponAdmin(LedgerAdmin):
    """Add and change; a coupon that must not be used any more is cancelled."""

    merchant_path = "customer__merchant"
    customer_path = "customer"
    staff_may = frozenset({"view", "add", "change"})
    form = CouponForm
    autocomplete_fields = ("customer",)
    list_display = ("code", "owner", "discount", "state", "expires_at", "created_at")
    list_select_related = ("customer__merchant",)
    list_filter = (("status", ChoicesDropdownFilter),)
    list_filter_submit = True
    search_fields = ("=code", "=customer__email", "=customer__customer_id")
    search_help_text = gettext_lazy("Whole code, customer's email or ID")
    ordering = ("-id",)
    sortable_by = ()
    actions_detail = ("mark_used",)
    empty_icon = "sell"
    empty_title = gettext_lazy("No coupons yet")
    empty_text = gettext_lazy("Open a customer and create one; what is sent because of it can be watched.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the customers."""
        return link("loyalty_customer_changelist"), _("See the customers")

    def get_readonly_fields(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        """A coupon keeps its customer and its code, and when it was used."""
        return ("customer", "code", "redeemed_at") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        """A new coupon is issued; a state is for existing ones."""
        fields = ("customer", "code", "value_class", "value", "minimum_cart_amount", "expires_at")
        if obj is None:
            return (*fields, "portal")
        return (*fields, "status", *(["redeemed_at"] if obj.redeemed_at else []), "portal")

    @display(description=gettext_lazy("customer"))
    def owner(self, coupon: Coupon) -> str:
        """Return whose coupon it is."""
        return str(coupon.customer)

    @display(description=gettext_lazy("discount"))
    def discount(self, coupon: Coupon) -> str:
        """Return the value with its unit."""
        value = localize(coupon.value.normalize() if coupon.value % 1 else int(coupon.value))
        return f"{value} %" if coupon.value_class == ValueClass.PERCENT else f"{value} {coupon.customer.merchant.currency}"

    @display(description=gettext_lazy("state"), label=TONES)
    def state(self, coupon: Coupon) -> tuple[str, str]:
        """Return the state as a coloured word."""
        return coupon.status, coupon.get_status_display()

    def save_model(self, request: HttpRequest, obj: Coupon, form: Any, change: bool) -> None:
        """Save what changed; a form that changed nothing announces nothing."""
        if not change or form.changed_data:
            super().save_model(request, obj, form, change)

    def has_use_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Allow marking an issued coupon as used to those who may change it."""
        issued = one(self.model.objects.filter(status=CouponStatus.ISSUED), object_id)
        return issued.exists() and self.has_move_permission(request, object_id)

    @action(description=gettext_lazy("Mark as used"), permissions=["use"], icon="task_alt", url_path="used", dialog=USED_DIALOG)
    def mark_used(self, request: HttpRequest, _form: Any, object_id: str) -> HttpResponse:
        """Redeem the coupon, once."""
        try:
            coupon = services.redeem_coupon(self.get_queryset(request).get(pk=object_id))
            note(Act.LEDGER, coupon, what=gettext_noop("used"))
            messages.success(request, _("Coupon %(code)s is marked as used.") % {"code": coupon.code})
        except services.CouponError as error:
            messages.warning(request, str(error))
        return go(request, link("loyalty_coupon_change", object_id))
