"""Counts and sums that outlive what they are of, and how far the purge is."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.identifiers import EPOCH
from events.models.definitions import EventDefinition
from integrations.models import Integration, Merchant


class Tally(models.Model):
    """How often something happened: appended by who did it, in its own transaction, and added up later (`events.tallies`).

    Rows that are no totals are additions not yet added up; a count is the sum of both. Nothing here is ever taken away, so
    counts outlive the deliveries they are of. There is no foreign key: on PostgreSQL its check would wait for whoever
    holds the integration's lock. Integration 0 stands for the installation as a whole.
    """

    integration_id = models.PositiveBigIntegerField(default=0)
    kind = models.CharField(max_length=16)  # of `events.tallies.Kind`
    label = models.CharField(max_length=40, blank=True)
    amount = models.BigIntegerField()
    is_total = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")
        constraints = [
            models.UniqueConstraint(fields=["integration_id", "kind", "label"], condition=Q(is_total=True), name="tally_total")
        ]

    def __str__(self) -> str:
        """Return what was counted, and how often."""
        return f"{self.integration_id} {self.kind} {self.label} {self.amount}"


class StatBucket(models.Model):
    """How many deliveries of one event, recorded in one quarter of an hour, have which state and reason.

    `kept` counts rows that are still in the table, as of the last fold; `gone` those that a purge has deleted. Figures of
    engagements (see `events.statistics`) are counted where they happened. Tests are left out.
    """

    definition = models.ForeignKey(EventDefinition, models.PROTECT, db_index=False, related_name="+")
    integration = models.ForeignKey(Integration, models.PROTECT, db_index=False, related_name="+")
    merchant = models.ForeignKey(Merchant, models.PROTECT, db_index=False, related_name="+")
    starts_at = models.DateTimeField()  # UTC: 00, 15, 30 or 45 minutes past an hour
    figure = models.CharField(max_length=24)
    reason = models.CharField(max_length=40, blank=True)
    kept = models.PositiveBigIntegerField(default=0)
    gone = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("statistic")
        verbose_name_plural = _("statistics")
        constraints = [
            models.UniqueConstraint(fields=["starts_at", "definition", "figure", "reason"], name="stat_bucket_once"),
        ]
        indexes = [models.Index(fields=["definition", "starts_at"], name="stat_bucket_by_definition")]

    def __str__(self) -> str:
        """Return figure and quarter."""
        return f"{self.figure} {self.starts_at:%Y-%m-%d %H:%M}"


class StatTotal(models.Model):
    """The buckets of one quarter summed up for one merchant (`scope` is its key), or for everybody (`scope` 0)."""

    scope = models.BigIntegerField()
    starts_at = models.DateTimeField()
    figure = models.CharField(max_length=24)
    kept = models.PositiveBigIntegerField(default=0)
    gone = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("total")
        verbose_name_plural = _("totals")
        constraints = [models.UniqueConstraint(fields=["scope", "starts_at", "figure"], name="stat_total_once")]

    def __str__(self) -> str:
        """Return figure and quarter."""
        return f"{self.figure} {self.starts_at:%Y-%m-%d %H:%M}"


class StatFrontier(models.Model):
    """One row: every quarter before `folded_until` is counted. Its lock is the right to write statistics."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    folded_until = models.DateTimeField(default=EPOCH)
    first_id = models.UUIDField(default=uuid.UUID(int=0))  # the first id that a delivery behind it can have

    class Meta:
        verbose_name = _("frontier of the statistics")
        verbose_name_plural = _("frontier of the statistics")

    def __str__(self) -> str:
        """Return the moment."""
        return f"{self.folded_until:%Y-%m-%d %H:%M}"


class StatRecount(models.Model):
    """One integration's quarter in which a row has changed, or may yet, since it was folded. Read from the rows meanwhile."""

    integration = models.ForeignKey(Integration, models.CASCADE, db_index=False, related_name="+")
    starts_at = models.DateTimeField()
    first_id = models.UUIDField()
    next_id = models.UUIDField()
    look_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("recount")
        verbose_name_plural = _("recounts")
        constraints = [models.UniqueConstraint(fields=["integration", "starts_at"], name="stat_recount_once")]
        indexes = [models.Index(fields=["look_at"], name="stat_recount_due")]

    def __str__(self) -> str:
        """Return integration and quarter."""
        return f"{self.integration_id} {self.starts_at:%Y-%m-%d %H:%M}"


class PurgeCursor(models.Model):
    """How far a purge came whose rows stay in the table, so that the next one does not walk over them again."""

    what = models.CharField(max_length=20, unique=True)
    reached = models.UUIDField(default=uuid.UUID(int=0))
    began_at = models.DateTimeField(default=timezone.now)  # of this round over the whole table

    class Meta:
        verbose_name = _("place of a purge")
        verbose_name_plural = _("places of purges")

    def __str__(self) -> str:
        """Return what is purged."""
        return self.what
