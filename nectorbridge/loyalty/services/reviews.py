"""Reviews: asked for, written, approved."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from nectorbridge.loyalty import announcements
from nectorbridge.loyalty.models import Customer, Order, Review, ReviewStatus
from nectorbridge.loyalty.services import checks


class ReviewError(ValueError):
    """A review cannot be written or approved like that. The message says why."""


def request_review(
    customer: Customer, product_id: str = "", product_name: str = "", order: Order | None = None, portal: str = ""
) -> Review:
    """Ask a customer for a review."""
    checks.portal(portal)
    return Review.objects.create(
        customer=customer,
        product_id=checks.fits(product_id, 128, "product_id"),
        product_name=checks.fits(product_name, 200, "product_name"),
        order=order,
        is_verified=order is not None,
        portal=portal,
    )


def submit_review(subject: Review | Customer, rating: int, text: str = "", product_id: str = "", portal: str = "") -> Review:
    """Write down what a customer says: to a request, or unasked. Raises ReviewError for a rating that is not 1 to 5."""
    checks.portal(portal)
    if isinstance(rating, bool) or not isinstance(rating, int) or not 1 <= rating <= 5:
        raise ReviewError(f"rating must be a whole number from 1 to 5; got {rating!r}")
    now = timezone.now()
    if isinstance(subject, Customer):
        return Review.objects.create(
            customer=subject,
            product_id=checks.fits(product_id, 128, "product_id"),
            status=ReviewStatus.SUBMITTED,
            rating=rating,
            text=text,
            submitted_at=now,
            portal=portal,
        )
    with transaction.atomic():
        review = _locked(subject)
        if review.status != ReviewStatus.REQUESTED:
            raise ReviewError(f"This review is {review.get_status_display().lower()} already.")
        review.status, review.rating, review.text, review.submitted_at = ReviewStatus.SUBMITTED, rating, text, now
        review.save(update_fields=["status", "rating", "text", "submitted_at", "updated_at"])
        announcements.review_submitted(review, portal)
    return review


def approve_review(review: Review, portal: str = "") -> Review:
    """Approve a review, once. Raises ReviewError for one that is not written, or approved already."""
    checks.portal(portal)
    with transaction.atomic():
        review = _locked(review)
        if review.status not in (ReviewStatus.SUBMITTED, ReviewStatus.REJECTED):
            raise ReviewError(
                f"This review is {review.get_status_display().lower()}; only one that was submitted can be approved."
            )
        review.status, review.approved_at = ReviewStatus.APPROVED, timezone.now()
        review.save(update_fields=["status", "approved_at", "updated_at"])
        announcements.review_approved(review, portal)
    return review


def reject_review(review: Review, portal: str = "") -> Review:
    """Reject a review, also one that was approved; it is announced as changed. Raises ReviewError for one that is not written."""
    checks.portal(portal)
    with transaction.atomic():
        review = _locked(review)
        if review.status not in (ReviewStatus.SUBMITTED, ReviewStatus.APPROVED):
            raise ReviewError(
                f"This review is {review.get_status_display().lower()}; only one that was submitted or approved can be rejected."
            )
        review.status, review.approved_at = ReviewStatus.REJECTED, None
        review.save(update_fields=["status", "approved_at", "updated_at"])
        announcements.review_updated(review, portal)
    return review


def _locked(review: Review) -> Review:
    """Return the row as it is now, locked until the transaction ends."""
    return Review.objects.select_for_update(of=("self",)).select_related("customer__merchant", "order").get(pk=review.pk)
