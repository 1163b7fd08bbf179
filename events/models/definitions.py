"""Events: what to send where."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events import triggers
from events.states import Portal
from integrations.models import Integration
from integrations.providers.base import InvalidName

MOST_RESENDS = 10  # each may arrive once more
LONGEST_WORTH = 366 * 86_400  # seconds


class EventDefinition(models.Model):
    """“Send this trigger over this integration under this name”, and where it fires."""

    integration = models.ForeignKey(Integration, models.CASCADE, related_name="definitions", verbose_name=_("integration"))
    trigger = models.CharField(_("trigger"), max_length=64, choices=triggers.choices)
    name = models.CharField(_("name at the provider"), max_length=200, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    portal = models.CharField(_("where it fires"), max_length=20, choices=Portal, default=Portal.ALL)
    # How often to send again what may have arrived. None: as DELIVERY_UNCERTAIN_RESENDS says; 0: never, it must not arrive twice.
    uncertain_resends = models.PositiveSmallIntegerField(
        _("if nobody knows whether it arrived"), null=True, blank=True, validators=[MaxValueValidator(MOST_RESENDS)]
    )
    # Seconds after the activity from which on it is no longer worth sending. None: it always is.
    stale_after = models.PositiveIntegerField(
        _("no longer worth sending after"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_WORTH)],
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    seen_at = models.DateTimeField(_("seen by the provider at"), null=True, editable=False)  # when it took a test event

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["integration", "trigger", "id"]
        indexes = [models.Index(fields=["trigger", "integration"], name="definition_by_trigger")]

    def __str__(self) -> str:
        """Return the provider and the name there: first the provider, as headings write the first letter as a capital."""
        return f"{self.integration.label}: {self.name}"

    def clean(self) -> None:
        """Give the event its default name; refuse one that the provider would not take."""
        try:
            self.trigger = triggers.canonical(self.trigger)
            contract = self.integration.contract
            self.name = contract.event_name(self.name or contract.default_event_name(triggers.topic_of(self.trigger)))
        except InvalidName as error:
            raise ValidationError({"name": str(error)}) from None
        except ValueError as error:
            raise ValidationError({"trigger": str(error)}) from None

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, with the name checked. Raises ValidationError for a name that the provider reserves or cannot take."""
        self.clean()
        super().save(*args, **kwargs)
