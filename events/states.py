"""The words of the outbox, each with a line of meaning. They are stored as they stand here."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    """Where a delivery stands."""

    QUEUED = "queued", _("Queued")  # waits for its first try
    SENDING = "sending", _("Sending")  # claimed by a drain, under a lease
    RETRYING = "retrying", _("Retrying")  # a try failed or is uncertain; the next one has a time
    HELD = "held", _("Held")  # the integration is paused or needs attention; nothing is lost
    SENT = "sent", _("Sent")  # the provider has it; never left again
    FAILED = "failed", _("Failed")  # given up; a person may retry it
    SKIPPED = "skipped", _("Skipped")  # deliberately not sent; the reason says why
    CANCELLED = "cancelled", _("Cancelled")  # a person withdrew it


class Reason(models.TextChoices):
    """Why a delivery was skipped, failed or waits."""

    NO_IDENTITY = "no_identity", _("The customer has no value for the common property")
    NO_CONSENT = "no_consent", _("The customer did not consent")
    SUPPRESSED = "suppressed", _("The customer unsubscribed or complained")
    FILTERED = "filtered", _("The event's filters leave this activity out")
    FREQUENCY_CAP = "frequency_cap", _("The customer was written to often enough")
    DUPLICATE = "duplicate", _("The same thing was already sent")
    QUIET_HOURS = "quiet_hours", _("It happened in the quiet hours")
    STALE = "stale", _("It was no longer worth sending")
    HOLDOUT = "holdout", _("The customer is in the group that is not sent to")
    BACKFILL = "backfill", _("It was imported, not experienced")
    UNCERTAIN = "uncertain", _("Nobody knows whether the provider got it")
    EXHAUSTED = "exhausted", _("Every try failed")
    REFUSED = "refused", _("The provider refused this event")
    IDENTIFY_REFUSED = "identify_refused", _("The provider refused the customer's profile")
    INTERNAL = "internal", _("An error of ours; it was logged")


class Portal(models.TextChoices):
    """Where an activity happened, and where an event fires."""

    ALL = "all", _("Everywhere")
    ONLINE_STORE = "online_store", _("Online store")
    POS = "pos", _("Point of sale")
    APP = "app", _("App")


ELSEWHERE = (Portal.POS.value, Portal.APP.value)  # where less happens than in the online store


class ConsentPolicy(models.TextChoices):
    """What an event does about customers who said that they do not want to be written to."""

    SKIP = "skip", _("Skip who unsubscribed")
    FLAG = "flag", _("Send, and tell the provider what the customer agreed to")
    IGNORE = "ignore", _("Send to everybody: it is no marketing")


class QuietPolicy(models.TextChoices):
    """What an event does that happens in the merchant's quiet hours."""

    DELAY = "delay", _("Wait until they are over")
    SKIP = "skip", _("Skip it: later it makes no sense")
    IGNORE = "ignore", _("Send at once")


class EngagementKind(models.TextChoices):
    """What came back about a delivery."""

    OPEN = "open", _("Open")
    CLICK = "click", _("Click")
    UNSUBSCRIBE = "unsubscribe", _("Unsubscribe")
    COMPLAINT = "complaint", _("Complaint")
    BOUNCE = "bounce", _("Bounce")
    DELIVERED = "delivered", _("Delivered")
    UNKNOWN = "unknown", _("Unknown")


DUE_STATES = (State.QUEUED, State.RETRYING)
FINAL_STATES = (State.SENT, State.FAILED, State.SKIPPED, State.CANCELLED)
