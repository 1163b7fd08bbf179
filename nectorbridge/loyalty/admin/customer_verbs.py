"""What may be done from a customer's page about orders, reviews, referrals and tiers, and the cards that show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action

from events.admin.base import link
from nectorbridge.loyalty.admin import orders, referrals, reviews, tiers
from nectorbridge.loyalty.admin.base import LedgerAdmin
from nectorbridge.loyalty.models import Customer
from nectorbridge.loyalty.moment_forms import ChangeTierForm, PlaceOrderForm, RequestReviewForm, StartReferralForm, money

SHOWN = 5
MOMENT_VERBS = ("place_order", "request_review", "start_referral", "change_tier")  # they stand at their cards


class MomentVerbs(LedgerAdmin):
    """Verbs that write down what a customer did."""

    def offers(self, verb: str, row: Any) -> bool:
        """Leave these verbs to their cards."""
        return verb not in MOMENT_VERBS and super().offers(verb, row)

    @action(description=gettext_lazy("Place an order"), permissions=["move"], icon="shopping_bag", url_path="place-order")
    def place_order(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Write down an order."""
        return self.verb_page(request, object_id, PlaceOrderForm, _("Place an order"), orders.place_order)

    @action(description=gettext_lazy("Ask for a review"), permissions=["move"], icon="reviews", url_path="request-review")
    def request_review(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a review."""
        return self.verb_page(request, object_id, RequestReviewForm, _("Ask for a review"), reviews.request_review)

    @action(description=gettext_lazy("Start a referral"), permissions=["move"], icon="group_add", url_path="start-referral")
    def start_referral(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Tell a friend."""
        return self.verb_page(request, object_id, StartReferralForm, _("Start a referral"), referrals.start_referral)

    @action(description=gettext_lazy("Change tier"), permissions=["move"], icon="military_tech", url_path="change-tier")
    def change_tier(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Move to another tier."""
        return self.verb_page(request, object_id, ChangeTierForm, _("Change tier"), tiers.change_tier)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a card."""

    url: str
    name: str
    more: str
    state: str
    tone: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Card:
    """The last rows of one kind, the way to all of them, and the verb that makes one."""

    title: str
    lines: list[Line]
    all_url: str
    verb: str
    verb_url: str


def cards_of(customer: Customer, may_act: bool) -> list[Card]:
    """Return a card for each kind of thing that a customer does, newest first."""
    shown_orders = [
        _line(order, money(order.total, order.currency), order.get_status_display(), orders.TONES, order.placed_at)
        for order in customer.orders.order_by("-placed_at", "-id")[:SHOWN]
    ]
    shown_reviews = [
        _line(
            review,
            f"{review.rating} ★" if review.rating else "",
            review.get_status_display(),
            reviews.TONES,
            review.submitted_at or review.requested_at,
            name=review.product_name or review.product_id or _("Review"),
        )
        for review in customer.reviews.order_by("-id")[:SHOWN]
    ]
    shown_referrals = [
        _line(referral, "", referral.get_status_display(), referrals.TONES, referral.completed_at or referral.started_at)
        for referral in customer.referrals.order_by("-id")[:SHOWN]
    ]
    shown_tiers = [_line(change, "", "", {}, change.changed_at) for change in customer.tier_changes.order_by("-id")[:SHOWN]]
    return [
        _card(customer, may_act, _("Orders"), shown_orders, "order", _("Place an order"), "place_order"),
        _card(customer, may_act, _("Reviews"), shown_reviews, "review", _("Ask for a review"), "request_review"),
        _card(customer, may_act, _("Referrals"), shown_referrals, "referral", _("Start a referral"), "start_referral"),
        _card(customer, may_act, _("Changes of tier"), shown_tiers, "tierchange", _("Change tier"), "change_tier"),
    ]


def _line(row: Any, more: str, state: str, tones: dict[str, str], at: datetime, name: str = "") -> Line:
    """Return a row as a line that links to its page."""
    address = link(f"loyalty_{row._meta.model_name}_change", row.pk)
    return Line(address, name or str(row), more, state, tones.get(getattr(row, "status", ""), ""), at)


def _card(customer: Customer, may_act: bool, title: str, lines: Iterable[Line], model: str, verb: str, address: str) -> Card:
    """Return a card; the verb is for those who may act."""
    whole = link(f"loyalty_{model}_changelist", query=f"customer__id__exact={customer.pk}")
    return Card(title, list(lines), whole, verb, link(f"loyalty_customer_{address}", customer.pk) if may_act else "")
