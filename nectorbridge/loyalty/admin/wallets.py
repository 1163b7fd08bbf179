"""Wallets and their transactions. Balances move through the ledger alone; what moved never changes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from events.admin.base import grouped, link
from events.admin.delivery_page import customer_deliveries
from events.admin.filters import ScopedDropdownFilter
from nectorbridge.loyalty import services
from nectorbridge.loyalty.admin.base import LedgerAdmin
from nectorbridge.loyalty.admin.customers import grant_coins
from nectorbridge.loyalty.forms import GrantForm, TakeForm, WalletTransactionForm, overdraft
from nectorbridge.loyalty.ledger import InsufficientBalance
from nectorbridge.loyalty.models import Customer, Operation, Wallet, WalletTransaction

SHOWN = 50


@admin.register(Wallet)
class WalletAdmin(LedgerAdmin):
    """Balances, and every movement behind them."""

    merchant_path = "customer__merchant"
    customer_path = "customer"
    change_form_template = "loyalty/wallet.html"
    fields = ()
    list_display = ("owner", "customer_number", "email", "coins")
    list_select_related = ("customer__merchant",)
    list_filter = (("customer__merchant", ScopedDropdownFilter),)
    list_filter_submit = True
    search_fields = ("customer__name", "customer__email", "customer__customer_id")
    search_help_text = gettext_lazy("Customer's name, email or ID")
    ordering = ("-id",)
    sortable_by = ()
    actions_detail = ("grant", "take")
    empty_icon = "account_balance_wallet"
    empty_title = gettext_lazy("No wallets yet")
    empty_text = gettext_lazy("A wallet appears with a customer's first %(coins)s. Open a customer and grant some.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the customers."""
        return link("loyalty_customer_changelist"), _("See the customers")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A wallet opens with the first coins."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A balance is moved, never typed."""
        return False

    @display(description=gettext_lazy("customer"))
    def owner(self, wallet: Wallet) -> str:
        """Return whose coins they are."""
        return str(wallet.customer)

    @display(description=gettext_lazy("customer ID"))
    def customer_number(self, wallet: Wallet) -> str:
        """Return the store's own ID."""
        return wallet.customer.customer_id

    @display(description=gettext_lazy("email"))
    def email(self, wallet: Wallet) -> str:
        """Return the address."""
        return wallet.customer.email

    @display(description=gettext_lazy("balance"))
    def coins(self, wallet: Wallet) -> str:
        """Return the balance in the merchant's word."""
        return f"{grouped(wallet.balance)} {wallet.customer.merchant.coin_name}"

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> HttpResponse:
        """Add the transactions, newest first."""
        wallet: Wallet = kwargs["obj"]
        merchant = wallet.customer.merchant
        context |= {
            "wallet": wallet,
            "balance": grouped(wallet.balance),
            "coins": merchant.coin_name,
            "zone": merchant.timezone,
            "transactions": wallet.transactions.order_by("-id")[:SHOWN],
            "transactions_url": link("loyalty_wallettransaction_changelist", query=f"wallet__id__exact={wallet.pk}"),
            "customer_url": link("loyalty_customer_change", wallet.customer_id),
            "deliveries_url": customer_deliveries(merchant.pk, *wallet.customer.refs()),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    @action(description=gettext_lazy("Grant %(coins)s"), permissions=["move"], icon="add_circle", url_path="grant")
    def grant(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give coins."""
        return self.verb_page(request, object_id, GrantForm, _("Grant %(coins)s"), grant_coins)

    @action(description=gettext_lazy("Take %(coins)s"), permissions=["move"], icon="do_not_disturb_on", url_path="take")
    def take(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take coins."""
        return self.verb_page(request, object_id, TakeForm, _("Take %(coins)s"), take_coins)


def take_coins(customer: Customer, form: TakeForm) -> str:
    """Take coins as the form says. Return what to say."""
    data = form.cleaned_data
    entry = services.debit(customer, data["amount"], data["title"], portal=data["portal"])
    values = {"amount": grouped(entry.amount), "coins": customer.merchant.coin_name, "customer": customer}
    return _("%(amount)s %(coins)s were taken from %(customer)s.") % values


@admin.register(WalletTransaction)
class WalletTransactionAdmin(LedgerAdmin):
    """Movements of coins. A new one moves the balance; of an old one only the words may change."""

    merchant_path = "wallet__customer__merchant"
    customer_path = "wallet__customer"
    staff_may = frozenset({"view", "add", "change"})
    form = WalletTransactionForm
    autocomplete_fields = ("wallet",)
    list_display = ("created_at", "owner", "movement", "title", "balance_after", "expires_at")
    list_select_related = ("wallet__customer__merchant",)
    list_filter = (("operation", ChoicesDropdownFilter),)
    list_filter_submit = True
    search_fields = ("=wallet__customer__email", "=wallet__customer__customer_id")
    search_help_text = gettext_lazy("Customer's email or ID")
    ordering = ("-id",)
    sortable_by = ()
    empty_icon = "swap_vert"
    empty_title = gettext_lazy("No %(coins)s have moved yet")
    empty_text = gettext_lazy("Open a customer and grant some.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Lead to the customers."""
        return link("loyalty_customer_changelist"), _("See the customers")

    def get_fields(self, request: HttpRequest, obj: WalletTransaction | None = None) -> Any:
        """Show also what the ledger filled in, once it has."""
        fields = ("wallet", "operation", "amount", "title", "expires_at", "portal")
        return (*fields, "kind", "remaining", "balance_after", "created_at") if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: WalletTransaction | None = None) -> Any:
        """What moved stays as it is; its title may be corrected."""
        return [name for name in self.get_fields(request, obj) if name != "title"] if obj else ()

    @display(description=gettext_lazy("customer"))
    def owner(self, entry: WalletTransaction) -> str:
        """Return whose coins moved."""
        return str(entry.wallet.customer)

    @display(description=gettext_lazy("amount"), label={Operation.CREDIT.value: "success", Operation.DEBIT.value: "warning"})
    def movement(self, entry: WalletTransaction) -> tuple[str, str]:
        """Return sign and amount."""
        return entry.operation, str(entry)

    def save_model(self, request: HttpRequest, obj: WalletTransaction, form: Any, change: bool) -> None:
        """Save what is new; a form that changed nothing announces nothing."""
        if not change or form.changed_data:
            super().save_model(request, obj, form, change)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Take back everything and say so, where someone else spent the coins between check and save."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except InsufficientBalance as error:
            messages.error(request, overdraft(error.balance))
            return HttpResponseRedirect(request.get_full_path())
