"""Key rotations: who began each, how far it is, and what it could not read."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models.runs import Run


class RotationState(models.TextChoices):
    """Where a rotation stands."""

    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    STOPPED = "stopped", _("Stopped")  # by a person, or because it may not go on; the next one goes on from there


class KeyRotation(Run):
    """All stored secrets encrypted with the first key, column by column. Resumable: `column` and `cursor` say what is done.

    It is the installation's own: nobody's merchant, and once begun it goes on whatever becomes of whoever began it. Where
    something was written it looks at everything once more, since others may have saved what they had read before.
    """

    ring = models.CharField(max_length=64, editable=False)  # all keys in their order: only who has the same may work at it
    key = models.CharField(_("key"), max_length=16)  # what the first one is known by
    state = models.CharField(_("state"), max_length=8, choices=RotationState, default=RotationState.RUNNING)
    passes = models.PositiveSmallIntegerField(default=1, editable=False)
    column = models.CharField(max_length=150, blank=True, editable=False)
    cursor = models.CharField(max_length=40, blank=True, editable=False)
    total = models.PositiveIntegerField(_("secrets"), default=0)
    handled = models.PositiveIntegerField(_("looked at"), default=0)  # in this pass, as the following
    renewed = models.PositiveIntegerField(default=0, editable=False)
    former = models.PositiveIntegerField(_("under a former key"), default=0)
    unreadable = models.PositiveIntegerField(_("cannot be read"), default=0)
    lost = models.JSONField(default=list, editable=False)  # of those: column, key of the row, and why
    written = models.PositiveIntegerField(_("re-encrypted"), default=0)  # in all passes
    started_at = models.DateTimeField(_("started at"), default=timezone.now)

    class Meta:
        verbose_name = _("key rotation")
        verbose_name_plural = _("key rotations")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["state"], condition=Q(state="running"), name="key_rotation_one_at_a_time")]

    def __str__(self) -> str:
        """Return when it began."""
        return f"{self.started_at:%Y-%m-%d %H:%M}"
