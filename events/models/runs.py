"""What every long run in the background has in its row: who asked, when it goes on, and which worker has it (`events.runs`)."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

RUNNING = "running"  # the state of which `events.runs` knows; each kind has others


class Run(models.Model):
    """A run of small parts, each written in one transaction with how far it is: it may be cut off anywhere and goes on there."""

    message = models.CharField(_("message"), max_length=500, blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, db_index=False, related_name="+", verbose_name=_("asked by")
    )
    ended_at = models.DateTimeField(_("ended at"), null=True)
    next_at = models.DateTimeField(default=timezone.now, editable=False)
    rung_at = models.DateTimeField(null=True, editable=False)
    lease_owner = models.CharField(max_length=36, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)  # errors of ours in a row

    class Meta:
        abstract = True
