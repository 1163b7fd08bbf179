"""The forms of verbs about orders, reviews, referrals and tiers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from nectorbridge.loyalty.forms import LARGEST_AMOUNT, VerbForm, where
from nectorbridge.loyalty.models import Order

ORDERS_OFFERED = 50
LONGEST_REVIEW = 10_000
RATINGS = [(number, "★" * number) for number in range(5, 0, -1)]
CENT = Decimal("0.01")


def money(amount: Decimal, currency: str) -> str:
    """Return an amount as people write it: 1,299.50 INR."""
    return f"{number_format(amount, 2, force_grouping=True)} {currency}".strip()


def _text(label: Any, longest: int, help_text: Any = "", required: bool = False) -> forms.CharField:
    """Return a field for one line of text."""
    return forms.CharField(
        label=label, max_length=longest, help_text=help_text, required=required, widget=UnfoldAdminTextInputWidget
    )


def _money(label: Any, required: bool = True, least: Decimal = Decimal(0)) -> forms.DecimalField:
    """Return a field for an amount, as wide as what the services take."""
    widget = UnfoldAdminDecimalFieldWidget
    return forms.DecimalField(label=label, required=required, min_value=least, max_digits=12, decimal_places=2, widget=widget)


class PlaceOrderForm(VerbForm):
    """Write down what a customer bought."""

    blamed = "order_id"
    order_id = _text(gettext_lazy("Order ID"), 128, gettext_lazy("The store's own ID of this order."), required=True)
    number = _text(gettext_lazy("Number"), 60, gettext_lazy("As the customer knows it, for example #1042."))
    total = _money(gettext_lazy("Total"))
    discount_total = _money(gettext_lazy("Discount"), required=False)
    coupon_code = _text(gettext_lazy("Coupon"), 64)
    portal = where()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Say the currency."""
        super().__init__(*args, **kwargs)
        self.fields["total"].help_text = _("In %(currency)s.") % {"currency": self.customer.merchant.currency}


class RefundForm(VerbForm):
    """Give money back for an order."""

    blamed = "amount"
    amount = _money(gettext_lazy("Amount"), least=CENT)
    portal = where()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Propose what is left."""
        super().__init__(*args, **kwargs)
        self.left = self.row.total - self.row.refunded_total
        self.fields["amount"].initial = self.left
        self.fields["amount"].help_text = _("%(left)s is left to refund.") % {"left": money(self.left, self.row.currency)}

    def clean_amount(self) -> Decimal:
        """Refuse more than is left."""
        amount: Decimal = self.cleaned_data["amount"]
        if amount > self.left:
            left = money(self.left, self.row.currency)
            raise ValidationError(_("Only %(left)s is left to refund. Enter at most that.") % {"left": left})
        return amount


class RequestReviewForm(VerbForm):
    """Ask for a review."""

    order = forms.ModelChoiceField(
        Order.objects.none(),
        label=gettext_lazy("Order"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("With an order the review counts as one of somebody who bought it."),
    )
    product_name = _text(gettext_lazy("Product"), 200, gettext_lazy("As the customer reads it."))
    product_id = _text(gettext_lazy("Product ID"), 128)
    portal = where()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer the customer's last orders."""
        super().__init__(*args, **kwargs)
        newest = self.customer.orders.order_by("-id").values_list("pk", flat=True)[:ORDERS_OFFERED]
        field: Any = self.fields["order"]
        field.queryset = Order.objects.filter(pk__in=list(newest)).order_by("-id")


class SubmitReviewForm(VerbForm):
    """Write down what a customer says."""

    blamed = "rating"
    rating = forms.TypedChoiceField(label=gettext_lazy("Rating"), choices=RATINGS, coerce=int, widget=UnfoldAdminSelectWidget)
    text = forms.CharField(
        label=gettext_lazy("Text"), max_length=LONGEST_REVIEW, required=False, widget=UnfoldAdminTextareaWidget
    )
    portal = where()


class ApproveReviewForm(VerbForm):
    """Approve a review."""

    portal = where()


class RejectReviewForm(VerbForm):
    """Reject a review."""

    portal = where()


class CancelReferralForm(VerbForm):
    """Give up a referral."""

    portal = where()


class StartReferralForm(VerbForm):
    """Tell a friend."""

    friend_name = _text(gettext_lazy("Friend's name"), 200)
    friend_email = forms.EmailField(
        label=gettext_lazy("Friend's email"), max_length=254, required=False, widget=UnfoldAdminEmailInputWidget
    )
    friend_phone = _text(
        gettext_lazy("Friend's mobile"), 20, gettext_lazy("With country code, for example +919876543210. One of both is needed.")
    )
    coupon_code = _text(gettext_lazy("Friend's coupon"), 64)
    portal = where()


class CompleteReferralForm(VerbForm):
    """Note that the friend ordered."""

    reward_coins = forms.IntegerField(
        label=gettext_lazy("Reward in %(coins)s"),
        min_value=0,
        max_value=LARGEST_AMOUNT,
        initial=0,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=gettext_lazy("What the customer is told. It moves no %(coins)s: grant them on the customer's page."),
    )
    portal = where()


class ChangeTierForm(VerbForm):
    """Move a customer to another tier."""

    blamed = "tier"
    tier = _text(gettext_lazy("Tier"), 60, gettext_lazy("Empty: in none."))
    portal = where()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with the tier that they are in."""
        super().__init__(*args, **kwargs)
        self.fields["tier"].initial = self.customer.tier


def same_tier(tier: str) -> str:
    """Return what to say where somebody is in that tier already."""
    return _("This customer is in tier %(tier)s already.") % {"tier": tier} if tier else _("This customer is in no tier already.")
