"""Merchants: administrators see all and decide on their staff; owners and managers look after their own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import path
from django.utils.translation import gettext_lazy

from integrations import staff
from integrations.admin.empty import EmptyList
from integrations.forms import LIMITS, MerchantForm
from integrations.models import Membership, Merchant, Role
from integrations.roles import roles_of
from integrations.scope import ScopedAdmin, ScopedTabularInline
from integrations.switcher import switch


class MembershipFormSet(BaseInlineFormSet):
    """A merchant's staff, all of them at once."""

    def clean(self) -> None:
        """Keep an owner, as the page of one member does."""
        super().clean()
        if any(self.errors) or self.instance.pk is None:
            return
        stay = [form.cleaned_data for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        try:
            staff.check_somebody_owns(self.instance, [values["user"] for values in stay if values["role"] == Role.OWNER])
        except staff.StaffError as error:
            raise ValidationError(str(error)) from None


class MembershipInline(ScopedTabularInline):
    """A merchant's staff. Administrators only: whoever edits this decides who sees a merchant."""

    model = Membership
    formset = MembershipFormSet
    merchant_path = "merchant"
    staff_may = frozenset()
    autocomplete_fields = ["user"]
    extra = 0


@admin.register(Merchant)
class MerchantAdmin(EmptyList, ScopedAdmin):
    """Merchants."""

    merchant_path = "pk"
    staff_may = frozenset({"view", "change"})
    form = MerchantForm
    inlines = [MembershipInline]
    list_display = ["name", "platform", "timezone", "currency", "coin_name"]
    search_fields = ["name", "slug"]
    empty_icon = "storefront"
    empty_title = gettext_lazy("No merchants yet")
    empty_text = gettext_lazy(
        "A merchant is a store or a brand, with its own customers, integrations and staff. Add the first one."
    )
    fieldsets = [
        (None, {"fields": ["name", "slug", "website", "platform", "timezone", "currency", "coin_name"]}),
        (gettext_lazy("What comes back"), {"fields": ["open_tracking"]}),
        (gettext_lazy("Logging in"), {"fields": ["requires_second_factor"]}),
        (gettext_lazy("How often and when customers are written to"), {"fields": [LIMITS[:2], LIMITS[2:]]}),
    ]

    def get_urls(self) -> list[Any]:
        """Add the address that takes the merchant to work in."""
        own = path("switch/", self.admin_site.admin_view(switch), name="integrations_merchant_switch")
        return [own, *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Merchant | None = None) -> list[str]:
        """Let only administrators change what addresses and connectors rely on, and owners how their people log in."""
        if getattr(request.user, "is_superuser", False):
            return []
        is_owner = obj is not None and roles_of(request.user).get(obj.pk) == Role.OWNER
        return ["slug", "platform"] if is_owner else ["slug", "platform", "requires_second_factor"]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Merchant | None = None) -> dict[str, Any]:
        """Propose the slug of a new merchant from its name."""
        return {} if obj else {"slug": ("name",)}
