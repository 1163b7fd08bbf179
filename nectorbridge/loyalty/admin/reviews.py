"""Reviews: asked for, written, approved."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from events.admin.filters import ScopedDropdownFilter
from nectorbridge.loyalty import services
from nectorbridge.loyalty.admin.moments import MomentAdmin
from nectorbridge.loyalty.hand_forms import ReviewForm
from nectorbridge.loyalty.models import Customer, Review, ReviewStatus
from nectorbridge.loyalty.moment_forms import ApproveReviewForm, RejectReviewForm, RequestReviewForm, SubmitReviewForm

TONES = {
    ReviewStatus.REQUESTED.value: "info",
    ReviewStatus.SUBMITTED.value: "warning",
    ReviewStatus.APPROVED.value: "success",
    ReviewStatus.REJECTED.value: "",
}
STATES_OF = {
    "submit": (ReviewStatus.REQUESTED,),
    "approve": (ReviewStatus.SUBMITTED, ReviewStatus.REJECTED),
    "reject": (ReviewStatus.SUBMITTED, ReviewStatus.APPROVED),
}


@admin.register(Review)
class ReviewAdmin(MomentAdmin):
    """Ask for one, write down what a customer says, approve or reject it. Nobody rewrites a customer's words."""

    form = ReviewForm
    autocomplete_fields = ("customer", "order")
    list_display = ("product", "owner", "stars", "state", "requested_at", "submitted_at")
    list_filter = (("customer__merchant", ScopedDropdownFilter), ("status", ChoicesDropdownFilter))
    actions_detail = ("submit", "approve", "reject")
    add_fields = (("customer", "order"), ("product_name", "product_id"), "rating", "text", "portal")
    page_fields = (
        ("customer", "order"),
        ("product_name", "product_id"),
        ("status_word", "stars"),
        "text",
        ("is_verified", "portal"),
        ("requested_at", "submitted_at"),
        ("approved_at", "sent"),
    )
    empty_icon = "reviews"
    empty_title = gettext_lazy("No reviews yet")
    empty_text = gettext_lazy("Ask a customer for one, here or on the customer's page, and watch what is sent because of it.")

    def empty_action(self, request: HttpRequest) -> tuple[str, str] | None:
        """Offer to ask for the first review."""
        return self.first_of(request, _("Ask for a review"))

    @display(description=gettext_lazy("product"))
    def product(self, review: Review) -> str:
        """Return what it is about."""
        return review.product_name or review.product_id or _("Review")

    @display(description=gettext_lazy("rating"))
    def stars(self, review: Review) -> str:
        """Return the rating."""
        return f"{review.rating} ★" if review.rating else "-"

    @display(description=gettext_lazy("state"), label=TONES)
    def state(self, review: Review) -> tuple[str, str]:
        """Return the state as a coloured word."""
        return review.status, review.get_status_display()

    @display(description=gettext_lazy("state"))
    def status_word(self, review: Review) -> str:
        """Return the state as a word."""
        return review.get_status_display()

    def save_model(self, request: HttpRequest, obj: Review, form: Any, change: bool) -> None:
        """Save a new one: with a rating it was written, without one it is asked for."""
        obj.is_verified = obj.order_id is not None
        if obj.rating is not None:
            obj.status, obj.submitted_at = ReviewStatus.SUBMITTED, timezone.now()
        super().save_model(request, obj, form, change)

    # --- Verbs --------------------------------------------------------------------------------------------------------
    def offers(self, verb: str, row: Review) -> bool:
        """Offer what comes next."""
        return row.status in STATES_OF[verb]

    def facts_of(self, row: Review) -> list[tuple[Any, Any]]:
        """Return what it is about and what it says."""
        facts = [(_("Product"), self.product(row)), (_("State"), row.get_status_display())]
        said = [(_("Rating"), self.stars(row)), (_("Text"), row.text or "-")] if row.rating else []
        return facts + said

    @action(description=gettext_lazy("Submit review"), permissions=["move"], icon="rate_review", url_path="submit")
    def submit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Write down what the customer says."""
        return self.verb_page(request, object_id, SubmitReviewForm, _("Submit review"), submit_review, of_row=True)

    @action(description=gettext_lazy("Approve"), permissions=["move"], icon="verified", url_path="approve")
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Approve what the customer said."""
        return self.verb_page(request, object_id, ApproveReviewForm, _("Approve"), approve_review, of_row=True)

    @action(description=gettext_lazy("Reject"), permissions=["move"], icon="block", url_path="reject")
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Reject what the customer said."""
        return self.verb_page(request, object_id, RejectReviewForm, _("Reject"), reject_review, of_row=True)


def request_review(customer: Customer, form: RequestReviewForm) -> str:
    """Ask for a review as the form says. Return what to say."""
    data = form.cleaned_data
    services.request_review(customer, data["product_id"], data["product_name"], data["order"], portal=data["portal"])
    return _("%(customer)s is asked for a review.") % {"customer": customer}


def submit_review(review: Review, form: SubmitReviewForm) -> str:
    """Write down the review as the form says. Return what to say."""
    data = form.cleaned_data
    services.submit_review(review, data["rating"], data["text"], portal=data["portal"])
    return _("The review of %(customer)s is submitted.") % {"customer": review.customer}


def approve_review(review: Review, form: ApproveReviewForm) -> str:
    """Approve the review. Return what to say."""
    services.approve_review(review, portal=form.cleaned_data["portal"])
    return _("The review of %(customer)s is approved.") % {"customer": review.customer}


def reject_review(review: Review, form: RejectReviewForm) -> str:
    """Reject the review. Return what to say."""
    services.reject_review(review, portal=form.cleaned_data["portal"])
    return _("The review of %(customer)s is rejected.") % {"customer": review.customer}
