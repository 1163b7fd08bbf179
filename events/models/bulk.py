"""One thing done to everything that a filter of the deliveries matches: what, to which rows, how far, and what came of it."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.identifiers import new_id
from events.models.runs import Run
from integrations.models import Merchant

BEFORE_ALL = uuid.UUID(int=0)  # smaller than any id


class What(models.TextChoices):
    """What is done to deliveries."""

    RETRY = "retry", _("Retry")  # the same row, with a fresh budget of tries
    REPLAY = "replay", _("Replay")  # a new row with the same content, linked to the old one
    CANCEL = "cancel", _("Cancel")  # what waits is withdrawn


class BulkState(models.TextChoices):
    """Where a bulk action stands."""

    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    STOPPED = "stopped", _("Stopped")  # by a person, or because it may not go on


class BulkAction(Run):
    """Retry, replay or cancel of all that a filter matches, for one merchant. Resumable: `cursor` is behind what is done.

    `filter` is frozen when it starts (`events.bulk_filter.DeliveryFilter`), with `upper_id`: what is recorded later, replays
    among it, does not slip in. Small batches go from the oldest row to the newest, each with its progress in one transaction.
    """

    merchant = models.ForeignKey(Merchant, models.CASCADE, db_index=False, related_name="+", verbose_name=_("merchant"))
    what = models.CharField(_("what"), max_length=8, choices=What)
    filter = models.JSONField(_("which deliveries"), default=dict)
    fingerprint = models.CharField(max_length=64, editable=False)  # of what and filter: the same one does not run twice at once
    token = models.UUIDField(default=uuid.uuid4, editable=False)  # the form's own: posted twice, it makes one run
    lower_id = models.UUIDField(default=BEFORE_ALL, editable=False)
    upper_id = models.UUIDField(default=new_id, editable=False)
    cursor = models.UUIDField(default=BEFORE_ALL, editable=False)
    state = models.CharField(_("state"), max_length=8, choices=BulkState, default=BulkState.RUNNING)
    total = models.PositiveIntegerField(_("deliveries"), default=0)
    is_more = models.BooleanField(default=False)  # there are more than `total`: nobody counted them to the end
    handled = models.PositiveIntegerField(_("looked at"), default=0)
    touched = models.PositiveIntegerField(_("changed"), default=0)
    counts = models.JSONField(_("what became of them"), default=dict)  # by `events.verbs.Fate`
    started_at = models.DateTimeField(_("started at"), default=timezone.now)

    class Meta:
        verbose_name = _("bulk action")
        verbose_name_plural = _("bulk actions")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["merchant", "-id"], name="bulk_of_merchant"),
            models.Index(fields=["state"], condition=Q(state="running"), name="bulk_running"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "token"], name="bulk_once_a_form"),
            models.UniqueConstraint(fields=["merchant", "fingerprint"], condition=Q(state="running"), name="bulk_one_at_a_time"),
        ]

    def __str__(self) -> str:
        """Return what and when."""
        return f"{self.get_what_display()} {self.started_at:%Y-%m-%d %H:%M}"
