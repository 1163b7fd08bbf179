"""What people were told of an integration that needs attention."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from integrations.models.connections import Integration


class Notice(models.Model):
    """That people were told of one integration that needs attention, and once more when it sent again. See `events.notices`.

    While it is open it speaks for the whole trouble, however often the state changes: there is one at a time.
    """

    integration = models.ForeignKey(Integration, models.CASCADE, related_name="notices", verbose_name=_("integration"))
    opened_at = models.DateTimeField(_("needs attention since"))
    told = models.JSONField(_("told"), default=list)  # the keys of the users to whom the mail was handed over
    told_at = models.DateTimeField(_("told at"), null=True)
    recovered_at = models.DateTimeField(_("sends again since"), null=True)
    told_again = models.JSONField(default=list)  # of those, who know of the recovery
    closed_at = models.DateTimeField(_("closed at"), null=True)
    tries = models.PositiveSmallIntegerField(default=0)  # of the mail that is due
    next_try_at = models.DateTimeField(null=True)  # None: no mail is due

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["integration"], condition=models.Q(closed_at__isnull=True), name="one_open_notice"),
        ]

    def __str__(self) -> str:
        """Return whose and when."""
        return f"{self.integration} {self.opened_at:%Y-%m-%d %H:%M}"
