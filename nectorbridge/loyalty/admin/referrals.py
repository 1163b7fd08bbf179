"""Referrals: whom customers told of the store."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from events.admin.base import grouped
from events.admin.filters import ScopedDropdownFilter
from nectorbridge.loyalty import services
from nectorbridge.loyalty.admin.moments import MomentAdmin
from nectorbridge.loyalty.hand_forms import ReferralForm
from nectorbridge.loyalty.lookalikes import customers_at
from nectorbridge.loyalty.models import Customer, Referral, ReferralStatus
from nectorbridge.loyalty.moment_forms import CancelReferralForm, CompleteReferralForm, StartReferralForm

TONES = {
    ReferralStatus.STARTED.value: "info",
    ReferralStatus.COMPLETED.value: "success",
    ReferralStatus.CANCELLED.value: "",
}


@admin.register(Referral)
class ReferralAdmin(MomentAdmin):
    """Start, complete and cancel; of the first two both sides are told."""

    form = ReferralForm
    list_display = ("whom", "owner", "state", "reward", "started_at", "completed_at")
    list_filter = (("customer__merchant", ScopedDropdownFilter), ("status", ChoicesDropdownFilter))
    search_fields = ("=friend_email", "=friend_phone", "=customer__email", "=customer__customer_id")
    search_help_text = gettext_lazy("Friend's email or mobile, customer's email or ID")
    actions_detail = ("complete", "cancel")
    add_fields = ("customer", ("friend_name", "coupon_code"), ("friend_email", "friend_phone"), "portal")
    page_fields = (
        ("customer", "status_word"),
        ("friend_name", "friend"),
        ("friend_email", "friend_phone"),
        ("coupon_code", "reward"),
        ("started_at", "completed_at"),
        ("portal", "sent"),
    )
    empty_icon = "group_add"
    empty_title = gettext_lazy("No referrals yet")
    empty_text = gettext_lazy("Start one for a customer: both the customer and the friend are told of it.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Offer to start the first referral."""
        return self.first_of(request, _("Start a referral"))

    @display(description=gettext_lazy("friend"))
    def whom(self, referral: Referral) -> str:
        """Return the friend."""
        return str(referral)

    @display(description=gettext_lazy("referred by"))
    def owner(self, referral: Referral) -> str:
        """Return who told the friend."""
        return str(referral.customer)

    @display(description=gettext_lazy("reward"))
    def reward(self, referral: Referral) -> str:
        """Return the reward in the merchant's word."""
        return f"{grouped(referral.reward_coins)} {referral.customer.merchant.coin_name}" if referral.reward_coins else "-"

    @display(description=gettext_lazy("state"), label=TONES)
    def state(self, referral: Referral) -> tuple[str, str]:
        """Return the state as a coloured word."""
        return referral.status, referral.get_status_display()

    @display(description=gettext_lazy("state"))
    def status_word(self, referral: Referral) -> str:
        """Return the state as a word."""
        return referral.get_status_display()

    # --- Verbs --------------------------------------------------------------------------------------------------------
    def offers(self, verb: str, row: Referral) -> bool:
        """Offer to complete or cancel what is started."""
        return row.status == ReferralStatus.STARTED

    def facts_of(self, row: Referral) -> list[tuple[Any, Any]]:
        """Return who the friend is."""
        return [
            (_("Friend"), row),
            (_("Friend's email"), row.friend_email or "-"),
            (_("Friend's mobile"), row.friend_phone or "-"),
        ]

    @action(description=gettext_lazy("Complete"), permissions=["move"], icon="task_alt", url_path="complete")
    def complete(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Note that the friend ordered."""
        return self.verb_page(request, object_id, CompleteReferralForm, _("Complete referral"), complete_referral, of_row=True)

    @action(description=gettext_lazy("Cancel referral"), permissions=["move"], icon="cancel", url_path="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give it up."""
        return self.verb_page(request, object_id, CancelReferralForm, _("Cancel referral"), cancel_referral, of_row=True)


def start_referral(customer: Customer, form: StartReferralForm) -> str:
    """Start a referral as the form says. Return what to say."""
    data = form.cleaned_data
    referral = services.start_referral(
        customer,
        data["friend_email"],
        data["friend_phone"],
        data["friend_name"],
        data["coupon_code"],
        portal=data["portal"],
    )
    return _("%(customer)s referred %(friend)s.") % {"customer": customer, "friend": referral}


def complete_referral(referral: Referral, form: CompleteReferralForm) -> str:
    """Complete the referral as the form says. Return what to say.

    Where exactly one other customer of the merchant has the friend's address, they are the friend.
    """
    data = form.cleaned_data
    friend = referral.friend
    if friend is None:
        found = customers_at(referral.customer.merchant_id, referral.friend_email, referral.friend_phone)
        friends = [customer for customer in found if customer.pk != referral.customer_id]
        friend = friends[0] if len(friends) == 1 else None
    services.complete_referral(referral, friend, data["reward_coins"], portal=data["portal"])
    return _("The referral of %(friend)s is completed.") % {"friend": referral}


def cancel_referral(referral: Referral, form: CancelReferralForm) -> str:
    """Cancel the referral. Return what to say."""
    services.cancel_referral(referral, portal=form.cleaned_data["portal"])
    return _("The referral of %(friend)s is cancelled.") % {"friend": referral}
