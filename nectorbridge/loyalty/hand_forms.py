"""The forms of orders, reviews, referrals and tiers that are added by hand. They check what the services check."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _

from nectorbridge.loyalty.models import Order, OrderStatus, Referral, Review, TierChange
from nectorbridge.loyalty.moment_forms import same_tier
from nectorbridge.loyalty.services.referrals import ReferralError, check_friend


class OrderForm(forms.ModelForm):
    """An order, new or changed."""

    class Meta:
        model = Order
        fields = (
            "customer",
            "order_id",
            "number",
            "status",
            "total",
            "discount_total",
            "currency",
            "coupon_code",
            "source",
            "portal",
            "placed_at",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Ask for nothing that has a sensible value; a refund is a verb of its own."""
        super().__init__(*args, **kwargs)
        for name in {"discount_total", "placed_at"} & set(self.fields):
            self.fields[name].required = False
        if "status" in self.fields:
            state: Any = self.fields["status"]
            state.choices = [choice for choice in state.choices if choice[0] and choice[0] != OrderStatus.REFUNDED]
        if "currency" in self.fields:
            self.fields["currency"].help_text = _("Empty: the merchant's.")

    def clean_discount_total(self) -> Decimal:
        """Take nothing for none."""
        return self.cleaned_data["discount_total"] or Decimal(0)

    def clean_placed_at(self) -> datetime:
        """Take nothing for now."""
        return self.cleaned_data["placed_at"] or timezone.now()

    def clean(self) -> dict[str, Any]:
        """Fill in the merchant's currency."""
        data = super().clean() or self.cleaned_data
        if "currency" in self.fields and (customer := data.get("customer")):
            data["currency"] = (data.get("currency") or "").strip().upper() or customer.merchant.currency
        return data


class ReviewForm(forms.ModelForm):
    """A review that is asked for or, with a rating, one that was written unasked."""

    class Meta:
        model = Review
        fields = ("customer", "order", "product_id", "product_name", "rating", "text", "portal")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Say what a rating means."""
        super().__init__(*args, **kwargs)
        if "rating" in self.fields:
            self.fields["rating"].help_text = _("1 to 5. Empty: the customer is asked for one.")

    def clean(self) -> dict[str, Any]:
        """Refuse somebody else's order, and words without a rating."""
        data = super().clean() or self.cleaned_data
        customer, order = data.get("customer"), data.get("order")
        if customer and order and order.customer_id != customer.pk:
            self.add_error("order", _("This order is another customer's."))
        if data.get("text") and not data.get("rating") and "rating" not in self.errors:
            self.add_error("rating", _("A review with words needs a rating."))
        return data


class ReferralForm(forms.ModelForm):
    """A new referral."""

    class Meta:
        model = Referral
        fields = ("customer", "friend_name", "friend_email", "friend_phone", "coupon_code", "portal")

    def clean(self) -> dict[str, Any]:
        """Refuse a friend who cannot be reached, or who is the customer."""
        data = super().clean() or self.cleaned_data
        if data.get("customer") and "friend_email" not in self.errors:
            try:
                check_friend(data["customer"], data.get("friend_email", ""), data.get("friend_phone", ""))
            except ReferralError as error:
                self.add_error("friend_email", str(error))
        return data


class TierChangeForm(forms.ModelForm):
    """Another tier for a customer."""

    class Meta:
        model = TierChange
        fields = ("customer", "tier", "portal")

    def clean(self) -> dict[str, Any]:
        """Refuse the tier that they are in."""
        data = super().clean() or self.cleaned_data
        customer, tier = data.get("customer"), data.get("tier")
        if customer and tier is not None and customer.tier == tier:
            self.add_error("tier", same_tier(tier))
        return data
