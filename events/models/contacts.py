"""Who is known at the provider, and runs that push all customers."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from integrations.models import Integration


class ContactStatus(models.TextChoices):
    """Where a contact stands at its provider."""

    UNKNOWN = "unknown", _("Not pushed yet")
    SYNCED = "synced", _("Known to the provider")
    REFUSED = "refused", _("Refused by the provider")


class Contact(models.Model):
    """A customer as one integration's provider knows it: what was last pushed, and what still has to be."""

    integration = models.ForeignKey(Integration, models.CASCADE, db_index=False, related_name="contacts")
    customer_ref = models.CharField(max_length=200)
    remote_id = models.CharField(max_length=1024, blank=True)
    recipient = models.JSONField(default=dict)
    attributes = models.JSONField(default=dict)  # what the loyalty programme knew of the customer when last pushed
    as_of = models.DateTimeField(null=True)  # when the snapshot in `recipient` was taken; an older one never replaces it
    pushed_hash = models.CharField(max_length=40, blank=True)
    refused = models.JSONField(default=list)  # attributes that the provider refused; they are left out from then on
    dirty_at = models.DateTimeField(null=True)
    synced_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=10, choices=ContactStatus, default=ContactStatus.UNKNOWN)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        constraints = [models.UniqueConstraint(fields=["integration", "customer_ref"], name="contact_once")]
        indexes = [models.Index(fields=["integration", "dirty_at"], condition=Q(dirty_at__isnull=False), name="contact_dirty")]

    def __str__(self) -> str:
        """Return which customer at which integration."""
        return f"{self.customer_ref} · {self.integration}"


class SyncState(models.TextChoices):
    """Where a push of all customers stands."""

    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    STOPPED = "stopped", _("Stopped")  # by a person, or because the integration cannot send


class ContactSync(models.Model):
    """One push of all of a merchant's customers to one integration's provider. Resumable: `cursor` is behind what is done."""

    integration = models.ForeignKey(Integration, models.CASCADE, db_index=False, related_name="syncs")
    state = models.CharField(_("state"), max_length=10, choices=SyncState, default=SyncState.RUNNING)
    is_first = models.BooleanField(_("after connecting"), default=False)
    cursor = models.CharField(max_length=200, blank=True)
    total = models.PositiveIntegerField(_("customers"), default=0)
    handled = models.PositiveIntegerField(_("looked at"), default=0)
    pushed = models.PositiveIntegerField(_("pushed"), default=0)
    unchanged = models.PositiveIntegerField(_("known already"), default=0)
    without_identity = models.PositiveIntegerField(_("without the common property"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    message = models.CharField(_("message"), max_length=500, blank=True)
    started_at = models.DateTimeField(_("started at"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended at"), null=True)
    next_at = models.DateTimeField(default=timezone.now)  # when to go on, after a hold or a failed call
    failures = models.PositiveIntegerField(default=0, editable=False)  # calls in a row that did not get through

    class Meta:
        verbose_name = _("customers sync")
        verbose_name_plural = _("customers syncs")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["integration", "-id"], name="sync_of_integration"),
            models.Index(fields=["state"], condition=Q(state="running"), name="sync_running"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["integration"], condition=Q(state="running"), name="one_sync_at_a_time"),
        ]

    def __str__(self) -> str:
        """Return which integration and when."""
        return f"{self.integration} {self.started_at:%Y-%m-%d %H:%M}"
