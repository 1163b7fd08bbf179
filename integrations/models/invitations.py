"""Invitations to a merchant's staff: to whom, as what, until when, and what became of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from integrations.models.merchants import Merchant, Role


class Invitation(models.Model):
    """One address that was asked to join. The link has a secret word, of which the hash is kept; a new mail makes a new one."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="invitations", verbose_name=_("merchant"))
    email = models.EmailField(_("email"))
    role = models.CharField(_("role"), max_length=10, choices=Role, default=Role.VIEWER)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("invited by"), editable=False
    )
    word_hash = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(_("invited"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("valid until"), editable=False)
    accepted_at = models.DateTimeField(_("accepted"), null=True, editable=False)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "email"], condition=models.Q(accepted_at__isnull=True), name="invited_once"
            )
        ]

    def __str__(self) -> str:
        """Return whom and where to."""
        return f"{self.email} · {self.merchant}"
