"""Events: what to send where."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events import triggers
from events.destinations import with_utm
from events.holdout import MOST_PERCENT
from events.states import ConsentPolicy, Portal, QuietPolicy
from integrations.models import Integration
from integrations.providers import channel_of
from integrations.providers.base import InvalidName

MOST_RESENDS = 10  # each may arrive once more
LONGEST_WORTH = 366 * 86_400  # seconds
MOST_HOURS = 30 * 24  # of a frequency cap
MOST_LEADS, LONGEST_LEAD = 3, 365  # how often, and how many days before its end, somebody is reminded
MOST_REMINDERS, LONGEST_WAIT = 5, 365  # of one thing that lies unused, and days
MOST_COINS = 10**15
NO_HOLDOUT = _("What is no marketing goes to everybody: nobody may miss a receipt so that something can be measured.")


def _days(label: Any, default: int, least: int = 0) -> models.PositiveSmallIntegerField:
    """Return a column for a number of days."""
    limits = [MinValueValidator(least), MaxValueValidator(LONGEST_WAIT)]
    return models.PositiveSmallIntegerField(label, default=default, validators=limits)


def _coins(label: Any) -> models.PositiveBigIntegerField:
    """Return a column for an amount of coins that may be left open."""
    return models.PositiveBigIntegerField(
        label, null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MOST_COINS)]
    )


def days_of(text: str) -> tuple[int, ...]:
    """Return the days in a text such as “30, 7, 1”, the most first, each once. Raises ValueError for anything else."""
    days = sorted({int(part) for part in text.replace(";", ",").split(",") if part.strip()}, reverse=True)
    if not 1 <= len(days) <= MOST_LEADS or not all(1 <= day <= LONGEST_LEAD for day in days):
        raise ValueError
    return tuple(days)


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
    # Where a click in the message leads; empty: to the merchant's website. Fixed in each delivery when it is recorded.
    destination = models.URLField(_("a click leads to"), max_length=500, blank=True)
    adds_utm = models.BooleanField(_("with UTM parameters"), default=False, db_default=False)
    # To whom: filters, consent, how often, and when. Where a merchant has limits of its own, both hold.
    minimum_coins = _coins(_("minimum coins"))
    tiers = models.CharField(_("tiers"), max_length=300, blank=True)
    consent_policy = models.CharField(_("consent"), max_length=10, choices=ConsentPolicy, default=ConsentPolicy.SKIP)
    cap_count = models.PositiveSmallIntegerField(
        _("at most"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    cap_hours = models.PositiveSmallIntegerField(
        _("within hours"), default=24, validators=[MinValueValidator(1), MaxValueValidator(MOST_HOURS)]
    )
    quiet_policy = models.CharField(_("in quiet hours"), max_length=10, choices=QuietPolicy, default=QuietPolicy.DELAY)
    # Per cent of the customers that are not sent to, so that lift can be read; and since when it is this share.
    holdout_percent = models.PositiveSmallIntegerField(
        _("held out, in %"), default=0, db_default=0, validators=[MaxValueValidator(MOST_PERCENT)]
    )
    holdout_since = models.DateTimeField(null=True, editable=False)
    # A milestone: fires where a balance comes to `threshold`, or to within `close_within` of it.
    threshold = _coins(_("milestone"))
    close_within = _coins(_("already when so close"))
    # What time creates: so many days before an end, or so many days after something began to lie unused, at this hour.
    lead_days = models.CharField(_("days before"), max_length=20, default="30, 7, 1")
    wait_days = _days(_("days to wait"), 7)
    most_reminders = models.PositiveSmallIntegerField(
        _("reminders"), default=2, validators=[MinValueValidator(1), MaxValueValidator(MOST_REMINDERS)]
    )
    gap_days = _days(_("days between"), 10, least=1)
    remind_hour = models.PositiveSmallIntegerField(_("at hour"), default=10, validators=[MaxValueValidator(23)])
    reminded_until = models.DateTimeField(null=True, editable=False)  # see `events.schedules`
    reminder_cursor = models.JSONField(default=dict, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    seen_at = models.DateTimeField(_("seen by the provider at"), null=True, editable=False)  # when it took a test event

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["integration", "trigger", "id"]
        indexes = [models.Index(fields=["trigger", "integration"], name="definition_by_trigger")]
        constraints = [models.CheckConstraint(condition=models.Q(holdout_percent__lte=MOST_PERCENT), name="holdout_half_at_most")]

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
        try:
            days_of(self.lead_days)
        except ValueError:
            words = _("Up to %(most)d numbers of days, from 1 to %(longest)d, such as “30, 7, 1”.")
            raise ValidationError({"lead_days": words % {"most": MOST_LEADS, "longest": LONGEST_LEAD}}) from None
        if self.close_within is not None and (self.threshold is None or self.close_within >= self.threshold):
            raise ValidationError({"close_within": _("It must be less than the milestone itself.")})
        if self.holdout_percent and self.consent_policy == ConsentPolicy.IGNORE:
            raise ValidationError({"holdout_percent": NO_HOLDOUT})

    @property
    def leads_to(self) -> str:
        """Return where a click leads from now on."""
        address = self.destination or self.integration.merchant.website
        if not self.adds_utm:
            return address
        return with_utm(address, self.integration.provider, channel_of(self.integration.provider), self.name)

    @property
    def leads(self) -> tuple[int, ...]:
        """Return how many days before an end somebody is reminded, the most first."""
        return days_of(self.lead_days)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, with the name checked. Raises ValidationError for a name that the provider reserves or cannot take."""
        self.clean()
        self._date_holdout(kwargs)
        super().save(*args, **kwargs)

    def _date_holdout(self, kwargs: dict[str, Any]) -> None:
        """Note when the share of customers that are not sent to changes: before and after they do not compare."""
        named = kwargs.get("update_fields")
        if named is not None and "holdout_percent" not in named:
            return
        stored = EventDefinition.objects.filter(pk=self.pk).values_list("holdout_percent", flat=True).first() or 0
        if self.holdout_percent != stored:
            self.holdout_since = timezone.now()
            if named is not None:
                kwargs["update_fields"] = {*named, "holdout_since"}
