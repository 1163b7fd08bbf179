"""The audit trail: who did what, when, from where, to what. Rows are written once and stay as they are."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from integrations.models.merchants import Merchant


class AppendOnly(TypeError):
    """Somebody tried to change or delete a row of the audit trail: a bug, or worse."""


class Act(models.TextChoices):
    """What can be done that is worth remembering."""

    ADDED = "added", _("Added")
    CHANGED = "changed", _("Changed")
    DELETED = "deleted", _("Deleted")
    SECRET = "secret", _("Secret replaced")
    ROTATE = "rotate", _("Keys rotated")
    INITIALIZE = "initialize", _("Initialize")
    PAUSE = "pause", _("Paused")
    RESUME = "resume", _("Resumed")
    DISCARD = "discard", _("New values discarded")
    DISCONNECT = "disconnect", _("Disconnected")
    TEST = "test", _("Test event sent")
    RETRY = "retry", _("Retry")
    REPLAY = "replay", _("Replay")
    CANCEL = "cancel", _("Cancel")
    RUN_AGAIN = "run_again", _("Run again")
    STOP = "stop", _("Stopped")
    SYNC = "sync", _("Customers sync")
    IMPORT = "import", _("Import")
    EXPORT = "export", _("Export")
    ERASE = "erase", _("Erased")
    MERGE = "merge", _("Merged")
    CONSENT = "consent", _("Consent changed")
    LEDGER = "ledger", _("Ledger")
    INVITED = "invited", _("Staff invited")
    STAFF_ADDED = "staff_added", _("Staff added")
    ROLE = "role", _("Role changed")
    STAFF_REMOVED = "staff_removed", _("Staff removed")
    LOGIN = "login", _("Logged in")
    LOGIN_FAILED = "login_failed", _("Log-in failed")
    LOGOUT = "logout", _("Logged out")
    SECOND_FACTOR = "second_factor", _("Second factor")


class AuditRows(models.QuerySet["AuditEntry"]):
    """Rows that are read and added, and nothing else; `purge` alone gives up what is old."""

    def update(self, **_values: Any) -> NoReturn:
        """Refuse. Raises AppendOnly."""
        raise AppendOnly("the audit trail is append-only")

    def bulk_update(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse. Raises AppendOnly."""
        raise AppendOnly("the audit trail is append-only")

    def update_or_create(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse. Raises AppendOnly."""
        raise AppendOnly("the audit trail is append-only")

    def delete(self) -> NoReturn:
        """Refuse. Raises AppendOnly."""
        raise AppendOnly("the audit trail is append-only")

    def purge(self, most: int) -> int:
        """Delete up to so many of these rows, for the retention policy. Returns how many."""
        keys = list(self.order_by("pk").values_list("pk", flat=True)[:most])
        return AuditEntry.objects.filter(pk__in=keys)._raw_delete(using=self.db)


class AuditEntry(models.Model):
    """One act. It outlives whoever did it and whatever it was done to: names are kept as they were, keys bind nothing.

    `fields` has names of what was changed, never values; `details` a few words and numbers. Of customers there is the key
    alone. The database refuses changes as well, and to delete what is younger than 30 days.
    """

    at = models.DateTimeField(_("when"), default=timezone.now, editable=False)
    merchant = models.ForeignKey(
        Merchant, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+", verbose_name=_("merchant")
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, null=True, db_constraint=False, related_name="+", verbose_name=_("who")
    )
    actor_name = models.CharField(_("who"), max_length=150, blank=True)
    act = models.CharField(_("what"), max_length=20, choices=Act)
    subject_type = models.CharField(max_length=60, blank=True)  # "integrations.integration"
    subject_key = models.CharField(max_length=40, blank=True)
    subject = models.CharField(_("on what"), max_length=200, blank=True)
    fields = models.JSONField(_("fields"), default=list, blank=True)
    details = models.JSONField(_("details"), default=dict, blank=True)
    address = models.GenericIPAddressField(_("from where"), null=True, blank=True)

    objects = AuditRows.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        default_permissions = ("view",)
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["merchant", "-id"], name="audit_of_merchant"),
            models.Index(fields=["at"], name="audit_by_age"),
        ]

    def __str__(self) -> str:
        """Return who did what."""
        return f"{self.actor_name or '-'}: {self.get_act_display()}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write a new row. Raises AppendOnly for one that is there."""
        if not self._state.adding:
            raise AppendOnly("the audit trail is append-only")
        super().save(*args, force_insert=True)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse. Raises AppendOnly."""
        raise AppendOnly("the audit trail is append-only")
