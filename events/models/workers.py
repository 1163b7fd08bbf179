"""Who is at work."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from integrations.models import Integration


class WorkerPlace(models.Model):
    """A worker at work for one integration. What it may take of all workers is counted here, across clusters and machines."""

    integration = models.ForeignKey(Integration, models.CASCADE, related_name="worker_places")
    is_push = models.BooleanField(default=False)  # of profiles; otherwise events
    lease_until = models.DateTimeField()

    class Meta:
        verbose_name = _("place of a worker")
        verbose_name_plural = _("places of workers")

    def __str__(self) -> str:
        """Return for which integration and until when."""
        return f"{self.integration} {self.lease_until:%H:%M:%S}"


class Worker(models.Model):
    """A running task cluster, by its supervisor. A canary task that ran is the only proof that a cluster works."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    started_at = models.DateTimeField(_("started at"), default=timezone.now)
    supervised_at = models.DateTimeField(_("supervisor seen at"), default=timezone.now)
    canary_at = models.DateTimeField(_("canary ran at"), null=True)
    restarts = models.PositiveIntegerField(_("restarts"), default=0)
    restarted_at = models.DateTimeField(_("last restart"), null=True)
    restart_reason = models.CharField(_("why"), max_length=200, blank=True)
    swept_at = models.DateTimeField(_("last sweep"), null=True)
    sweep = models.JSONField(_("what the sweep did"), default=dict)  # of `events.sweep.Swept`, by name

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        """Return the name."""
        return self.name

    @property
    def machine(self) -> str:
        """Return the name of the machine it runs on."""
        return self.name.rpartition(":")[0] or self.name
