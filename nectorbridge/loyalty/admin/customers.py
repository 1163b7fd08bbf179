"""Customers: who they are, what they have, and what was sent to them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from events.admin.base import go, grouped, link
from events.admin.delivery_page import customer_deliveries
from events.admin.filters import ScopedDropdownFilter
from events.admin.look import LOOK
from events.lookups import of_customer
from events.models import EventDelivery, Suppression
from integrations.scope import writable_merchants_of
from nectorbridge.loyalty import services
from nectorbridge.loyalty.admin.customer_verbs import MOMENT_VERBS, MomentVerbs, cards_of
from nectorbridge.loyalty.admin.merging import Merging
from nectorbridge.loyalty.admin.personal import PersonalData
from nectorbridge.loyalty.forms import CreateCouponForm, GrantForm
from nectorbridge.loyalty.models import Customer, WalletTransaction

SHOWN = 10


@admin.register(Customer)
class CustomerAdmin(Merging, PersonalData, MomentVerbs):
    """Grant coins and create coupons here; what was sent because of it is linked."""

    merchant_path = "merchant"
    staff_may = frozenset({"view", "add", "change"})
    change_form_template = "loyalty/customer.html"
    list_display = ("known_as", "customer_id", "email", "phone", "tier", "balance")
    list_select_related = ("wallet", "merchant")
    list_filter = (("merchant", ScopedDropdownFilter), ("consent_email", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("name", "email", "customer_id", "phone")
    search_help_text = gettext_lazy("Name, email, customer ID or mobile number")
    ordering = ("-id",)
    actions_list = ("open_imports", "open_erasures")
    actions_detail = ("grant", "create_coupon", "merge", *MOMENT_VERBS)
    fieldsets = (
        (None, {"fields": (("merchant", "customer_id"), ("name", "email"), ("phone", "tier"), "referral_code")}),
        (gettext_lazy("Consent"), {"fields": ("consent_email", "consent_sms", "consent_whatsapp")}),
    )
    empty_icon = "group"
    empty_title = gettext_lazy("No customers yet")
    empty_text = gettext_lazy("Add one to grant coins or a coupon, and watch what is sent because of it.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Offer to add the first customer."""
        return (link("loyalty_customer_add"), _("Add a customer")) if self.has_add_permission(request) else None

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Choose the merchant of those who have only one."""
        mine = list(writable_merchants_of(request.user).values_list("pk", flat=True)[:2])
        return ({"merchant": mine[0]} if len(mine) == 1 else {}) | super().get_changeform_initial_data(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Customer | None = None) -> Any:
        """A customer does not move to another merchant."""
        return ("merchant",) if obj else ()

    @display(description=gettext_lazy("customer"))
    def known_as(self, customer: Customer) -> str:
        """Return the best name there is."""
        return str(customer)

    @display(description=gettext_lazy("balance"))
    def balance(self, customer: Customer) -> str:
        """Return the coins in the merchant's word."""
        wallet = getattr(customer, "wallet", None)
        return f"{grouped(wallet.balance if wallet else 0)} {customer.merchant.coin_name}"

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> HttpResponse:
        """Add what the customer has and what was sent."""
        customer = kwargs.get("obj")
        if customer is not None:
            may_act = self.has_move_permission(request, customer.pk)
            context |= customer_context(customer) | {"cards": cards_of(customer, may_act)}
            context |= self.personal_context(request, customer)
            context["merge_url"] = link("loyalty_customer_merge", customer.pk) if may_act else ""
        return super().render_change_form(request, context, *args, **kwargs)

    @action(description=gettext_lazy("Import"), icon="upload_file", url_path="imports")
    def open_imports(self, request: HttpRequest) -> HttpResponse:
        """Lead to the imports from files."""
        return go(request, link("loyalty_importrun_changelist"))

    @action(description=gettext_lazy("Erasures"), icon="person_off", url_path="erasures")
    def open_erasures(self, request: HttpRequest) -> HttpResponse:
        """Lead to the reports of who was erased."""
        return go(request, link("loyalty_erasurereport_changelist"))

    @action(description=gettext_lazy("Grant %(coins)s"), permissions=["move"], icon="add_circle", url_path="grant")
    def grant(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give coins."""
        return self.verb_page(request, object_id, GrantForm, _("Grant %(coins)s"), grant_coins)

    @action(description=gettext_lazy("Create coupon"), permissions=["move"], icon="sell", url_path="create-coupon")
    def create_coupon(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make a coupon."""
        return self.verb_page(request, object_id, CreateCouponForm, _("Create coupon"), make_coupon)


def grant_coins(customer: Customer, form: GrantForm) -> str:
    """Give coins as the form says. Return what to say."""
    data = form.cleaned_data
    entry = services.credit(customer, data["amount"], data["title"], form.end_of("expires_on"), portal=data["portal"])
    values = {"amount": grouped(entry.amount), "coins": customer.merchant.coin_name, "customer": customer}
    return _("%(customer)s got %(amount)s %(coins)s.") % values


def make_coupon(customer: Customer, form: CreateCouponForm) -> str:
    """Make a coupon as the form says. Return what to say."""
    data = form.cleaned_data
    coupon = services.create_coupon(
        customer,
        data["code"],
        data["value_class"],
        data["value"],
        minimum_cart_amount=data["minimum_cart_amount"],
        expires_at=form.end_of("expires_on"),
        portal=data["portal"],
    )
    return _("%(customer)s got coupon %(code)s.") % {"customer": customer, "code": coupon.code}


def customer_context(customer: Customer) -> dict[str, Any]:
    """Return what the page shows below the form: a few rows of each kind, newest first."""
    wallet = getattr(customer, "wallet", None)
    lots = WalletTransaction.objects.filter(wallet=wallet, remaining__gt=0) if wallet else WalletTransaction.objects.none()
    rows = EventDelivery.objects.select_related("integration").defer("payload", "recipient")
    refs = customer.refs()
    suppressed = Suppression.objects.filter(merchant=customer.merchant_id, customer_ref__in=refs).order_by("-occurred_at").first()
    sent = of_customer(rows, customer.merchant_id, *refs)[:SHOWN]
    return {
        "wallet": wallet,
        "balance": grouped(wallet.balance if wallet else 0),
        "wallet_url": link("loyalty_wallet_change", wallet.pk) if wallet else "",
        "coins": customer.merchant.coin_name,
        "zone": customer.merchant.timezone,
        "lots": lots.order_by("expires_at", "id")[:SHOWN],
        "coupons": customer.coupons.order_by("-id")[:SHOWN],
        "consents": customer.consent_changes.order_by("-occurred_at", "-id")[:SHOWN],
        "suppressed": suppressed,
        "what": suppressed.get_kind_display().lower() if suppressed else "",
        "deliveries": [(link("events_eventdelivery_change", row.pk), row, *LOOK.get(row.status, ("", "help"))) for row in sent],
        "deliveries_url": customer_deliveries(customer.merchant_id, *refs),
    }
