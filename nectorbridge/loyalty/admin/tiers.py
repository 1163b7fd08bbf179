"""Tiers: who moved from which to which."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from events.admin.filters import ScopedDropdownFilter
from nectorbridge.loyalty import services
from nectorbridge.loyalty.admin.moments import MomentAdmin
from nectorbridge.loyalty.hand_forms import TierChangeForm
from nectorbridge.loyalty.models import Customer, TierChange
from nectorbridge.loyalty.moment_forms import ChangeTierForm, same_tier


@admin.register(TierChange)
class TierChangeAdmin(MomentAdmin):
    """Every change; adding one moves the customer."""

    form = TierChangeForm
    list_display = ("movement", "owner", "changed_at")
    list_filter = (("customer__merchant", ScopedDropdownFilter),)
    search_fields = ("=tier", "=customer__email", "=customer__customer_id")
    search_help_text = gettext_lazy("Whole tier, customer's email or ID")
    add_fields = ("customer", "tier", "portal")
    page_fields = (("customer", "changed_at"), ("former_tier", "tier"), ("portal", "sent"))
    empty_icon = "military_tech"
    empty_title = gettext_lazy("No tier has changed yet")
    empty_text = gettext_lazy("Move a customer to another tier, here or on the customer's page, and watch what is sent.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Offer the first change."""
        return self.first_of(request, _("Change a tier"))

    @display(description=gettext_lazy("change"))
    def movement(self, change: TierChange) -> str:
        """Return both tiers."""
        return str(change)

    def save_model(self, request: HttpRequest, obj: TierChange, form: Any, change: bool) -> None:
        """Move the customer, which writes the row and announces it."""
        made = services.change_tier(obj.customer, obj.tier, obj.portal)
        made = made or obj.customer.tier_changes.latest("id")  # somebody else moved them there at this moment
        obj.__dict__.update(made.__dict__)


def change_tier(customer: Customer, form: ChangeTierForm) -> str:
    """Move the customer as the form says. Return what to say. Raises ValueError where they are in that tier."""
    tier = form.cleaned_data["tier"]
    if services.change_tier(customer, tier, portal=form.cleaned_data["portal"]) is None:
        raise ValueError(same_tier(tier))
    values = {"customer": customer, "tier": tier}
    return (_("%(customer)s is in tier %(tier)s now.") if tier else _("%(customer)s is in no tier now.")) % values
