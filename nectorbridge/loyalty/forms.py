"""The ledger's forms. They check what the services and the ledger check, so that the error stands at its field."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from events.states import Portal
from nectorbridge.loyalty.models import Coupon, Customer, Operation, ValueClass, Wallet, WalletTransaction

HUNDRED_PER_CENT = 100
LARGEST_AMOUNT = 10**15  # far below what the column holds, far above what anyone means
WHERE = [("", gettext_lazy("Not said"))] + [(item.value, item.label) for item in (Portal.ONLINE_STORE, Portal.POS, Portal.APP)]


class DayInput(UnfoldAdminTextInputWidget):
    """The browser's own calendar."""

    input_type = "date"


def spendable(wallet: Wallet) -> int:
    """Return the coins that a debit can take now: those whose time is over are taken back first."""
    fresh = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    lots = WalletTransaction.objects.filter(fresh, wallet=wallet, remaining__gt=0)
    return int(lots.aggregate(total=Sum("remaining"))["total"] or 0)


class VerbForm(forms.Form):
    """A form that acts for one customer, or for a row of theirs; days are days of that customer's merchant.

    In labels and help `%(coins)s` stands for the merchant's word.
    """

    blamed = ""  # the field at which a service's refusal stands; empty: above them all

    def __init__(self, *args: Any, customer: Customer, row: Any = None, **kwargs: Any) -> None:
        """Keep the merchant's time zone and word for coins."""
        super().__init__(*args, **kwargs)
        self.customer, self.row = customer, row
        self.zone = ZoneInfo(customer.merchant.timezone)
        for field in self.fields.values():
            for name in ("label", "help_text"):
                setattr(field, name, str(getattr(field, name) or "").replace("%(coins)s", customer.merchant.coin_name))

    def end_of(self, name: str) -> datetime | None:
        """Return the last second of the day in that field, or None where it is empty."""
        day = self.cleaned_data.get(name)
        return datetime.combine(day, time(23, 59, 59), self.zone) if day else None

    def _not_past(self, name: str) -> Any:
        """Refuse a day that is over."""
        day = self.cleaned_data[name]
        if day and day < timezone.now().astimezone(self.zone).date():
            raise ValidationError(_("This day is over already."))
        return day


def where() -> forms.ChoiceField:
    """Return the field that says where it happened."""
    return forms.ChoiceField(
        label=gettext_lazy("Where it happens"),
        choices=WHERE,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("Events that fire in one place only look at this."),
    )


def _amount() -> forms.IntegerField:
    """Return a field for a number of coins."""
    return forms.IntegerField(
        label=gettext_lazy("Amount"), min_value=1, max_value=LARGEST_AMOUNT, widget=UnfoldAdminIntegerFieldWidget
    )


def _reason() -> forms.CharField:
    """Return a field for the reason."""
    return forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("As the customer reads it, for example “Thank you for your patience”."),
    )


class GrantForm(VerbForm):
    """Give coins."""

    amount = _amount()
    title = _reason()
    expires_on = forms.DateField(
        label=gettext_lazy("Good until"),
        required=False,
        widget=DayInput,
        help_text=gettext_lazy("The last day, in the store's time zone. Empty: they never expire."),
    )
    portal = where()

    def clean_expires_on(self) -> Any:
        """Refuse a day that is over."""
        return self._not_past("expires_on")


class TakeForm(VerbForm):
    """Take coins."""

    amount = _amount()
    title = _reason()
    portal = where()


class CreateCouponForm(VerbForm):
    """Make a coupon for a customer."""

    code = forms.CharField(label=gettext_lazy("Code"), max_length=64, widget=UnfoldAdminTextInputWidget)
    value_class = forms.ChoiceField(label=gettext_lazy("Kind"), choices=ValueClass.choices, widget=UnfoldAdminSelectWidget)
    value = forms.DecimalField(
        label=gettext_lazy("Value"), min_value=0, max_digits=12, decimal_places=2, widget=UnfoldAdminDecimalFieldWidget
    )
    minimum_cart_amount = forms.DecimalField(
        label=gettext_lazy("Minimum cart amount"),
        required=False,
        min_value=0,
        max_digits=12,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text=gettext_lazy("Empty: any cart."),
    )
    expires_on = forms.DateField(
        label=gettext_lazy("Good until"),
        required=False,
        widget=DayInput,
        help_text=gettext_lazy("The last day, in the store's time zone. Empty: it never expires."),
    )
    portal = where()

    def clean_expires_on(self) -> Any:
        """Refuse a day that is over."""
        return self._not_past("expires_on")

    def clean(self) -> dict[str, Any]:
        """Refuse more than everything off."""
        _check_per_cent(self)
        return self.cleaned_data


def _check_per_cent(form: forms.BaseForm) -> None:
    """Put an error at the value where a coupon would take more than 100 per cent off."""
    value, kind = form.cleaned_data.get("value"), form.cleaned_data.get("value_class")
    if kind == ValueClass.PERCENT and value is not None and value > HUNDRED_PER_CENT:
        form.add_error("value", _("A coupon cannot take more than 100 per cent off."))


class WalletTransactionForm(forms.ModelForm):
    """A new movement of coins, checked under the ledger's rules before it is posted."""

    class Meta:
        model = WalletTransaction
        fields = ("wallet", "operation", "amount", "title", "expires_at", "portal")

    def clean_amount(self) -> int:
        """Refuse nothing and the absurd."""
        amount = self.cleaned_data["amount"]
        if not 0 < amount <= LARGEST_AMOUNT:
            raise ValidationError(_("Enter a whole number above zero."))
        return int(amount)

    def clean(self) -> dict[str, Any]:
        """Refuse an overdraft."""
        data = super().clean() or self.cleaned_data
        wallet, amount = data.get("wallet"), data.get("amount")
        if wallet and amount and data.get("operation") == Operation.DEBIT and amount > (balance := spendable(wallet)):
            self.add_error("amount", overdraft(balance))
        return data


class CouponForm(forms.ModelForm):
    """A coupon, new or changed."""

    class Meta:
        model = Coupon
        fields = ("customer", "code", "value_class", "value", "minimum_cart_amount", "expires_at", "status", "portal")

    def clean(self) -> dict[str, Any]:
        """Refuse more than everything off."""
        data = super().clean() or self.cleaned_data
        _check_per_cent(self)
        return data


def overdraft(balance: int) -> str:
    """Return what to say where someone asks for more than there is."""
    return _("The wallet has %(balance)d. Enter at most that.") % {"balance": balance}
