"""The outbox: what was sent or waits, every call, what it meant, and what came back."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.identifiers import new_id
from events.indexes import IndexOf
from events.lookups import RecipientCustomerId, RecipientEmail, RecipientWords
from events.models.definitions import EventDefinition
from events.states import ELSEWHERE, FINAL_STATES, EngagementKind, Reason, State
from integrations.kept_words import said
from integrations.models import Integration, Merchant
from integrations.providers.base import Outcome

OUTCOMES = [(outcome.value, outcome.value) for outcome in Outcome]
OVER = Q(status__in=[state.value for state in FINAL_STATES])
UNSENT = Q(status__in=[state.value for state in FINAL_STATES if state != State.SENT])
WAITING = Q(status__in=["queued", "retrying", "held"])
# Where rows come and go and many are alike, folding those into lists costs a write more than the shorter index saves it.
MANY_ALIKE = {"deduplicate_items": "off"}
SHORT_PENDING_LIST = {"gin_pending_list_limit": "256"}  # in kB: every search reads that list


class CallKind(models.TextChoices):
    """What a call carries."""

    EVENTS = "events", _("Events")  # with the profiles that travel along
    CONTACT = "contact", _("A profile")
    BULK = "bulk", _("Many profiles")


class Call(models.Model):
    """One HTTP request to a provider, carrying one or many deliveries, or profiles alone.

    The row is committed before the request leaves. A call that started and has no end is what *uncertain* means.
    """

    integration = models.ForeignKey(Integration, models.CASCADE, db_index=False, related_name="calls")
    kind = models.CharField(max_length=8, choices=CallKind, default=CallKind.EVENTS)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField()
    duration_ms = models.PositiveIntegerField(null=True)
    outcome = models.CharField(max_length=15, blank=True, choices=OUTCOMES)
    http_status = models.PositiveSmallIntegerField(null=True)
    records = models.PositiveIntegerField(default=0)
    request = models.TextField(blank=True)  # method, address, headers with secrets masked, the body or its beginning
    response = models.TextField(blank=True)  # the answer or its beginning

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        indexes = [
            models.Index(fields=["integration"], condition=Q(ended_at__isnull=True), name="call_in_flight"),
        ]

    def __str__(self) -> str:
        """Return what it was and when."""
        return f"{self.integration} {self.started_at:%Y-%m-%d %H:%M:%S}"


class EventDelivery(models.Model):
    """One activity for one definition: the outbox row, with a frozen payload. The table is the queue and the history.

    It has no foreign key to a customer: `customer_ref` is the host's own reference, `recipient` a frozen snapshot.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Each index is written up to three times in a delivery's life: there is none that no hot query needs.
    definition = models.ForeignKey(
        EventDefinition, models.PROTECT, db_index=False, related_name="deliveries", verbose_name=_("event")
    )
    integration = models.ForeignKey(
        Integration, models.PROTECT, db_index=False, related_name="deliveries", verbose_name=_("integration")
    )
    merchant = models.ForeignKey(Merchant, models.PROTECT, db_index=False, related_name="deliveries", verbose_name=_("merchant"))
    trigger = models.CharField(_("trigger"), max_length=64)
    event_name = models.CharField(_("name at the provider"), max_length=200)
    portal = models.CharField(_("portal"), max_length=20, blank=True)
    customer_ref = models.CharField(_("customer"), max_length=200)
    recipient = models.JSONField(_("recipient"), default=dict)
    payload = models.JSONField(_("payload"), default=dict)
    destination = models.URLField(_("link destination"), max_length=500, blank=True)
    idempotency_key = models.CharField(_("idempotency key"), max_length=255)
    subject = models.CharField(max_length=200, blank=True, default="", db_default="", editable=False)  # what is told only once
    status = models.CharField(_("state"), max_length=10, choices=State, default=State.QUEUED)
    reason = models.CharField(_("reason"), max_length=40, blank=True, choices=Reason)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    is_test = models.BooleanField(_("test"), default=False)
    is_backfill = models.BooleanField(_("imported"), default=False)
    # Every call made; those that used up the budget of tries; those of which nobody knows whether they arrived.
    attempt_count = models.PositiveIntegerField(_("tries"), default=0)
    failure_count = models.PositiveIntegerField(default=0, editable=False)
    uncertain_count = models.PositiveIntegerField(default=0, editable=False)
    # Claims whose worker ended without a word before anything was sent: a sign of a delivery that kills whoever packs it.
    lost_claims = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    first_failed_at = models.DateTimeField(null=True, editable=False)
    next_attempt_at = models.DateTimeField(_("next try"), null=True, default=timezone.now)
    expires_at = models.DateTimeField(_("worth sending until"), null=True, editable=False)  # see `events.staleness`
    # No constraint: it would need an index, or a scan of the table for each old call that is purged.
    call = models.ForeignKey(
        Call, models.SET_NULL, null=True, db_index=False, db_constraint=False, editable=False, related_name="+"
    )
    lease_owner = models.CharField(max_length=36, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    occurred_at = models.DateTimeField(_("happened at"))
    created_at = models.DateTimeField(_("recorded at"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent at"), null=True)
    # No constraint: the old row may be purged before the new one, and a purge need not look for it.
    replay_of = models.ForeignKey(
        "self", models.DO_NOTHING, null=True, db_index=False, db_constraint=False, editable=False, related_name="replays"
    )

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-id"]  # ids grow with time
        # A constraint, not `unique=True`: that would cost PostgreSQL a second index for LIKE at every insert.
        constraints = [models.UniqueConstraint(fields=["idempotency_key"], name="delivery_once")]
        indexes = [
            models.Index(fields=["merchant", "-id"], name="delivery_by_merchant"),
            IndexOf(fields=["merchant", "customer_ref"], tuned=MANY_ALIKE, name="delivery_by_customer"),
            # What is over is written here once, when it gets there; docs/scale.md has the plans (see `events.lookups`).
            IndexOf(fields=["integration", "-id"], condition=OVER, name="delivery_over_integration"),
            IndexOf(fields=["definition", "-id"], condition=OVER, name="delivery_over_definition"),
            IndexOf(
                RecipientWords("recipient"),
                condition=OVER,
                only="postgresql",
                method="gin",
                tuned=SHORT_PENDING_LIST,
                name="delivery_over_words",
            ),
            # SQLite writes an index where its columns change, and these never do: once, with the row.
            IndexOf(RecipientEmail("recipient"), only="sqlite", name="delivery_to_email"),
            IndexOf(RecipientCustomerId("recipient"), only="sqlite", name="delivery_to_customer_id"),
            IndexOf(fields=["merchant", "status", "-id"], condition=UNSENT, name="delivery_unsent"),
            models.Index(fields=["merchant", "reason", "-id"], condition=~Q(reason=""), name="delivery_reason"),
            models.Index(fields=["merchant", "-id"], condition=Q(is_test=True), name="delivery_test"),
            models.Index(fields=["merchant", "portal", "-id"], condition=Q(portal__in=ELSEWHERE), name="delivery_elsewhere"),
            # Partial: a table of millions costs a claim no more than a small one.
            models.Index(
                fields=["integration", "next_attempt_at", "id"],
                condition=Q(status__in=["queued", "retrying"]),
                name="delivery_due",
            ),
            # By integration, not by call: then the stamp changes no indexed column (on PostgreSQL a HOT update).
            IndexOf(
                fields=["status", "integration", "customer_ref"],
                condition=Q(status__in=["sending", "retrying"]),
                tuned=MANY_ALIKE,
                name="delivery_busy",
            ),
            # PostgreSQL knows that what is sending is in that one, too.
            IndexOf(fields=["integration"], condition=Q(status="sending"), only="sqlite", name="delivery_sending"),
            models.Index(fields=["integration"], condition=Q(status="held"), name="delivery_held"),
            models.Index(fields=["integration"], condition=Q(lost_claims__gt=0), name="delivery_suspect"),
            # Most rows have no subject, and are not in it.
            models.Index(fields=["definition", "customer_ref", "subject"], condition=~Q(subject=""), name="delivery_subject"),
            # Most rows never expire, and are not in it.
            IndexOf(fields=["expires_at"], condition=WAITING & Q(expires_at__isnull=False), name="delivery_expiring"),
            models.Index(fields=["replay_of"], condition=Q(replay_of__isnull=False), name="delivery_replays"),
        ]

    def __str__(self) -> str:
        """Return the delivery's id."""
        return str(_("Delivery %(id)s") % {"id": self.id})


class DeliveryAttempt(models.Model):
    """What one call meant for one delivery. Never changed afterwards."""

    # No constraints: they are written from the rows of both, which nobody deletes while a call is under way, and checking each
    # one cost two thirds of writing it.
    delivery = models.ForeignKey(EventDelivery, models.CASCADE, db_index=False, db_constraint=False, related_name="attempts")
    call = models.ForeignKey(Call, models.SET_NULL, null=True, db_constraint=False, related_name="attempts")
    number = models.PositiveIntegerField(_("try"))
    started_at = models.DateTimeField(_("started at"))
    duration_ms = models.PositiveIntegerField(_("milliseconds"), null=True)
    outcome = models.CharField(_("outcome"), max_length=15, choices=OUTCOMES)
    http_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    error_code = models.CharField(_("code"), max_length=60, blank=True)
    error_message = models.CharField(_("message"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("try")
        verbose_name_plural = _("tries")
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempt_once")]
        # Few and looked for: which deliveries may have arrived twice, newest first.
        indexes = [models.Index(fields=["started_at"], condition=Q(outcome="uncertain"), name="attempt_uncertain")]

    def __str__(self) -> str:
        """Return number and outcome."""
        return f"{self.number}: {self.outcome}"

    @property
    def words(self) -> str:
        """Return its message: our own words in the reader's language, the provider's as they are."""
        return said(self.error_message)


class Engagement(models.Model):
    """An open or a click that came back. Only ever inserted; it never changes what was sent.

    `once` names what the provider says happened, so that what it tells twice is one row; empty where nothing names it.
    `is_counted`: the statistics have it. `is_first`: then it was the delivery's first of this kind by a person.
    """

    delivery = models.ForeignKey(EventDelivery, models.CASCADE, db_index=False, related_name="engagements")
    kind = models.CharField(_("kind"), max_length=12, choices=EngagementKind)
    occurred_at = models.DateTimeField(_("happened at"), default=timezone.now)
    source = models.CharField(_("source"), max_length=20)
    is_machine = models.BooleanField(_("by a machine"), default=False)
    once = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    is_counted = models.BooleanField(default=False, db_default=False, editable=False)
    is_first = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        verbose_name = _("engagement")
        verbose_name_plural = _("engagements")
        constraints = [
            models.UniqueConstraint(fields=["once"], condition=~Q(once=""), name="engagement_once"),
            models.UniqueConstraint(fields=["delivery", "kind"], condition=Q(is_first=True), name="engagement_first"),
        ]
        indexes = [
            models.Index(fields=["delivery", "kind"], name="engagement_of_delivery"),
            models.Index(fields=["id"], condition=Q(is_counted=False), name="engagement_to_count"),
        ]

    def __str__(self) -> str:
        """Return kind and delivery."""
        return f"{self.kind} {self.delivery_id}"
