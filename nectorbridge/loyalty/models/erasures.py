"""Erasures of customers: how far each is and what it did. Nothing in here says who it was."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models.runs import Run
from integrations.models import Merchant


class ErasureState(models.TextChoices):
    """Where an erasure stands."""

    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    STOPPED = "stopped", _("Stopped")  # it may not go on, or an error of ours; asked for again, it does what is left


class ErasureReport(Run):
    """One customer who is forgotten. Resumable: `step` and `cursor` say what is done, each part with its counts.

    `refs` are keys of ours that name the customer while it runs and for some minutes after, `alias` is what their deliveries
    have instead; both are emptied then. What remains is when, who asked, and how many rows of which kind.
    """

    merchant = models.ForeignKey(Merchant, models.CASCADE, db_index=False, related_name="erasures", verbose_name=_("merchant"))
    customer_key = models.BigIntegerField(null=True, editable=False)  # None: it is over
    refs = models.JSONField(default=list, editable=False)
    alias = models.UUIDField(null=True, default=uuid.uuid4, editable=False)
    state = models.CharField(_("state"), max_length=8, choices=ErasureState, default=ErasureState.RUNNING)
    step = models.PositiveSmallIntegerField(default=0, editable=False)
    cursor = models.CharField(max_length=64, blank=True, editable=False)
    counts = models.JSONField(_("what it did"), default=dict)  # rows by kind, see `personal.words`
    started_at = models.DateTimeField(_("started at"), default=timezone.now)

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["merchant", "-id"], name="erasure_of_merchant"),
            models.Index(fields=["state"], condition=Q(state="running"), name="erasure_running"),
            models.Index(fields=["ended_at"], condition=Q(alias__isnull=False), name="erasure_to_look_at"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["customer_key"], condition=Q(state="running"), name="erasure_one_at_a_time"),
        ]

    def __str__(self) -> str:
        """Return when it was."""
        return str(_("Erasure of %(at)s") % {"at": f"{self.started_at:%Y-%m-%d %H:%M}"})
