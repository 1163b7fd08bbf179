"""The outbox: what to send where, what was sent, every call and what it meant."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events import triggers
from events.identifiers import new_id
from events.states import EngagementKind, Portal, Reason, State
from integrations.models import Integration, Merchant
from integrations.providers.base import InvalidName, Outcome

OUTCOMES = [(outcome.value, outcome.value) for outcome in Outcome]


class EventDefinition(models.Model):
    """“Send this trigger over this integration under this name”, and where it fires."""

    integration = models.ForeignKey(Integration, models.CASCADE, related_name="definitions", verbose_name=_("integration"))
    trigger = models.CharField(_("trigger"), max_length=64, choices=triggers.choices)
    name = models.CharField(_("name at the provider"), max_length=200, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    portal = models.CharField(_("where it fires"), max_length=20, choices=Portal, default=Portal.ALL)
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
            self.name = contract.event_name(self.name or contract.default_event_name(self.trigger))
        except InvalidName as error:
            raise ValidationError({"name": str(error)}) from None
        except ValueError as error:
            raise ValidationError({"trigger": str(error)}) from None

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, with the name checked. Raises ValidationError for a name that the provider reserves or cannot take."""
        self.clean()
        super().save(*args, **kwargs)


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
    # Each index is written three times in a delivery's life: there is none that no hot query needs.
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
    status = models.CharField(_("state"), max_length=10, choices=State, default=State.QUEUED)
    reason = models.CharField(_("reason"), max_length=40, blank=True, choices=Reason)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    is_test = models.BooleanField(_("test"), default=False)
    is_backfill = models.BooleanField(_("imported"), default=False)
    # Every call made; those that used up the budget of tries; those of which nobody knows whether they arrived.
    attempt_count = models.PositiveIntegerField(_("tries"), default=0)
    failure_count = models.PositiveIntegerField(default=0, editable=False)
    uncertain_count = models.PositiveIntegerField(default=0, editable=False)
    first_failed_at = models.DateTimeField(null=True, editable=False)
    next_attempt_at = models.DateTimeField(_("next try"), null=True, default=timezone.now)
    call = models.ForeignKey(Call, models.SET_NULL, null=True, db_index=False, editable=False, related_name="+")
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
            models.Index(fields=["merchant", "customer_ref"], name="delivery_by_customer"),
            # Partial: a table of millions costs a claim no more than a small one.
            models.Index(
                fields=["integration", "next_attempt_at", "id"],
                condition=Q(status__in=["queued", "retrying"]),
                name="delivery_due",
            ),
            models.Index(
                fields=["integration", "customer_ref"],
                condition=Q(status__in=["sending", "retrying"]),
                name="delivery_busy",
            ),
            # By integration, not by call: then the stamp changes no indexed column (on PostgreSQL a HOT update).
            models.Index(fields=["integration"], condition=Q(status="sending"), name="delivery_sending"),
            models.Index(fields=["integration"], condition=Q(status="held"), name="delivery_held"),
            models.Index(fields=["replay_of"], condition=Q(replay_of__isnull=False), name="delivery_replays"),
        ]

    def __str__(self) -> str:
        """Return the delivery's id."""
        return str(_("Delivery %(id)s") % {"id": self.id})


class DeliveryAttempt(models.Model):
    """What one call meant for one delivery. Never changed afterwards."""

    delivery = models.ForeignKey(EventDelivery, models.CASCADE, db_index=False, related_name="attempts")
    call = models.ForeignKey(Call, models.SET_NULL, null=True, related_name="attempts")
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


class Engagement(models.Model):
    """An open or a click that came back. Only ever inserted; it never changes what was sent."""

    delivery = models.ForeignKey(EventDelivery, models.CASCADE, db_index=False, related_name="engagements")
    kind = models.CharField(_("kind"), max_length=12, choices=EngagementKind)
    occurred_at = models.DateTimeField(_("happened at"), default=timezone.now)
    source = models.CharField(_("source"), max_length=20)
    is_machine = models.BooleanField(_("by a machine"), default=False)

    class Meta:
        verbose_name = _("engagement")
        verbose_name_plural = _("engagements")
        indexes = [models.Index(fields=["delivery", "kind"], name="engagement_of_delivery")]

    def __str__(self) -> str:
        """Return kind and delivery."""
        return f"{self.kind} {self.delivery_id}"


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


from events.bulk_models import BulkAction as BulkAction  # noqa: E402 - a file of its own; Django looks for models here
from events.bulk_models import BulkState as BulkState  # noqa: E402
from events.bulk_models import What as What  # noqa: E402
