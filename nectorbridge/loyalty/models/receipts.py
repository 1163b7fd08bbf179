"""What came through Nector's door: each webhook once, as it was, and what became of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from integrations.models import Merchant

LONGEST_TOPIC, LONGEST_DELIVERY_ID, LONGEST_RECORD_ID = 100, 200, 200


class ReceiptState(models.TextChoices):
    """How far the work on a webhook is."""

    WAITING = "waiting", _("Waiting")  # stored, and not worked on yet, or to be tried again
    DONE = "done", _("Done")
    UNHEARD = "unheard", _("Nobody listens")  # a topic of the merchant's own that no event is made of
    FAILED = "failed", _("Failed")  # a person should look; it can be run again


class HmacVerdict(models.TextChoices):
    """What came of checking a webhook's HMAC."""

    OFF = "off", _("Not looked at")
    ABSENT = "absent", _("None was sent")
    VALID = "valid", _("Right")
    HASHED_KEY = "hashed_key", _("Right with the hashed secret as its key")
    WRONG = "wrong", _("Wrong")


class WebhookReceipt(models.Model):
    """One webhook of Nector's. Only those that came with a valid secret are kept; of the others only the number is."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, db_index=False, related_name="receipts", verbose_name=_("merchant"))
    topic = models.CharField(_("topic"), max_length=LONGEST_TOPIC)
    delivery_id = models.CharField(_("delivery ID"), max_length=LONGEST_DELIVERY_ID, blank=True)  # Nector's
    # The same topic and body under another delivery ID is a repetition, unless it comes a day later: nudges are repeated in
    # the same words. Then it has the next number.
    content_hash = models.CharField(max_length=64)
    content_number = models.PositiveIntegerField(default=1)
    source = models.CharField(_("source"), max_length=40, blank=True)  # x-source
    sent_at = models.DateTimeField(_("sent at"), null=True)  # x-nector-timestamp, where it could be read
    received_at = models.DateTimeField(_("received at"), default=timezone.now)
    hmac = models.CharField(_("HMAC"), max_length=10, choices=HmacVerdict, default=HmacVerdict.ABSENT)
    body = models.JSONField(_("body"))
    state = models.CharField(_("state"), max_length=10, choices=ReceiptState, default=ReceiptState.WAITING)
    detail = models.TextField(_("what happened"), blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(null=True, default=timezone.now)  # None: nothing is to be done
    done_at = models.DateTimeField(_("worked on at"), null=True)
    customer_ref = models.CharField(max_length=200, blank=True)
    became = models.JSONField(default=list)  # what it was written to: [[model, key], ...]

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "delivery_id"], condition=~Q(delivery_id=""), name="receipt_once"),
            models.UniqueConstraint(fields=["merchant", "content_hash", "content_number"], name="receipt_content_once"),
        ]
        indexes = [
            models.Index(fields=["merchant", "id"], condition=Q(next_try_at__isnull=False), name="receipt_waiting"),
            models.Index(fields=["merchant", "state", "-id"], name="receipt_by_state"),
            models.Index(fields=["received_at"], name="receipt_by_age"),
        ]

    def __str__(self) -> str:
        """Return topic and time."""
        return f"{self.topic} {self.received_at:%Y-%m-%d %H:%M:%S}"


class Refusal(models.TextChoices):
    """Why a request at the door was turned away."""

    NO_SECRET = "no_secret", _("The merchant has no secret yet")
    SECRET = "secret", _("The secret is missing or wrong")
    HMAC = "hmac", _("The HMAC is wrong")
    TOO_LARGE = "too_large", _("It is too large")
    UNREADABLE = "unreadable", _("It is no JSON object")


class DoorRefusal(models.Model):
    """How often the door turned somebody away on one day. What they sent is not kept."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="door_refusals", verbose_name=_("merchant"))
    day = models.DateField(_("day"))  # UTC
    reason = models.CharField(_("reason"), max_length=12, choices=Refusal)
    count = models.PositiveBigIntegerField(_("count"), default=0)
    last_at = models.DateTimeField(_("last at"), default=timezone.now)

    class Meta:
        verbose_name = _("refusal at the door")
        verbose_name_plural = _("refusals at the door")
        constraints = [models.UniqueConstraint(fields=["merchant", "day", "reason"], name="refusal_once_a_day")]

    def __str__(self) -> str:
        """Return day, reason and count."""
        return f"{self.day} {self.reason}: {self.count}"


class Inbox(models.Model):
    """One merchant's waiting webhooks as work: rung for at most once, and under a lease while somebody is at it."""

    merchant = models.OneToOneField(Merchant, models.CASCADE, related_name="inbox", verbose_name=_("merchant"))
    rung_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("inbox")
        verbose_name_plural = _("inboxes")

    def __str__(self) -> str:
        """Return whose it is."""
        return str(self.merchant)
