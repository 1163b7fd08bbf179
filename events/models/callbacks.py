"""What providers sent back: each body once, as it was, and what became of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from integrations.models import Integration


class CallbackState(models.TextChoices):
    """Where a callback stands."""

    WAITING = "waiting", _("Waiting")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class CallbackReceipt(models.Model):
    """One body that a provider sent, and how many of its items are known, in doubt, or not understood."""

    integration = models.ForeignKey(Integration, models.CASCADE, db_index=False, related_name="callbacks")
    kind = models.CharField(_("kind"), max_length=12, blank=True)  # as the address names it
    digest = models.CharField(max_length=64)
    content_type = models.CharField(max_length=100, blank=True)
    body = models.TextField(_("body"))
    received_at = models.DateTimeField(_("received"), default=timezone.now)
    state = models.CharField(_("state"), max_length=8, choices=CallbackState, default=CallbackState.WAITING)
    detail = models.CharField(_("what came of it"), max_length=300, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, default=timezone.now)  # empty: there is nothing left to do
    matched = models.PositiveIntegerField(_("matched"), default=0)
    unmatched = models.PositiveIntegerField(_("unmatched"), default=0)
    unknown = models.PositiveIntegerField(_("not understood"), default=0)
    ignored = models.PositiveIntegerField(_("not counted"), default=0)

    class Meta:
        verbose_name = _("callback")
        verbose_name_plural = _("callbacks")
        constraints = [models.UniqueConstraint(fields=["integration", "kind", "digest"], name="callback_once")]
        indexes = [
            models.Index(fields=["integration", "-received_at"], name="callback_of_integration"),
            models.Index(fields=["next_try_at"], condition=Q(next_try_at__isnull=False), name="callback_due"),
            models.Index(fields=["received_at"], name="callback_received"),
        ]

    def __str__(self) -> str:
        """Return whose it is and when it came."""
        return f"{self.integration_id} {self.received_at:%Y-%m-%d %H:%M:%S}"
