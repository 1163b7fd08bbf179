"""What the installation as a whole stores of its staff."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from django_otp.models import Device, ThrottlingMixin

from integrations.fields import SecretField
from integrations.secrets import bind, unbind


class SecondFactor(ThrottlingMixin, Device):
    """A user's authenticator app. Of each user at most one; it counts once a code of it was entered (`confirmed`)."""

    # Bound into the encrypted key; a session that has shown a code holds it, so that a new app asks every session again.
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sealed_key: Any = SecretField(editable=False)
    last_step = models.BigIntegerField(default=-1)  # of 30 seconds, of the code that was taken last: none is taken twice
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")
        constraints = [models.UniqueConstraint(fields=["user"], name="second_factor_once")]

    def __str__(self) -> str:
        """Return whose it is."""
        return str(self.user)

    def get_throttle_factor(self) -> int:
        """Return the seconds after the first wrong code; each further one doubles them."""
        return 1

    @property
    def key(self) -> bytes:
        """Return the key that app and we share. Raises SecretUnreadable."""
        return bytes.fromhex(unbind(self.sealed_key, None, str(self.uid))["key"])

    @key.setter
    def key(self, value: bytes) -> None:
        """Take a key; it is encrypted when the row is saved."""
        self.sealed_key = bind({"key": value.hex()}, None, str(self.uid))


class RecoveryCode(models.Model):
    """A code that stands in for the app once. What is kept is its hash."""

    factor = models.ForeignKey(SecondFactor, models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("recovery code")
        verbose_name_plural = _("recovery codes")
        constraints = [models.UniqueConstraint(fields=["factor", "digest"], name="recovery_code_once")]

    def __str__(self) -> str:
        """Return whose it is."""
        return str(self.factor)
