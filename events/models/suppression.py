"""Who is not to be written to any more, by what came back from a provider."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.states import EngagementKind
from integrations.models import Merchant


class Suppression(models.Model):
    """A customer who complained, or who unsubscribed from something that was sent and of whom no host keeps that."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, db_index=False, related_name="+", verbose_name=_("merchant"))
    customer_ref = models.CharField(_("customer"), max_length=200)
    kind = models.CharField(_("what"), max_length=12, choices=EngagementKind)
    source = models.CharField(_("from where"), max_length=60, blank=True)
    occurred_at = models.DateTimeField(_("when"), default=timezone.now)

    class Meta:
        verbose_name = _("suppression")
        verbose_name_plural = _("suppressions")
        constraints = [models.UniqueConstraint(fields=["merchant", "customer_ref"], name="suppressed_once")]

    def __str__(self) -> str:
        """Return what happened."""
        return self.get_kind_display()
