"""The outbox's tables, one file per kind of thing."""

from events.models.bulk import BulkAction, BulkState, What
from events.models.callbacks import CallbackReceipt, CallbackState
from events.models.contacts import Contact, ContactStatus, ContactSync, SyncState
from events.models.definitions import LONGEST_WORTH, MOST_RESENDS, EventDefinition
from events.models.deliveries import Call, CallKind, DeliveryAttempt, Engagement, EventDelivery
from events.models.rotations import KeyRotation, RotationState
from events.models.statistics import PurgeCursor, StatBucket, StatFrontier, StatRecount, StatTotal, Tally
from events.models.suppression import Suppression
from events.models.workers import Worker, WorkerPlace

__all__ = [
    "LONGEST_WORTH",
    "MOST_RESENDS",
    "BulkAction",
    "BulkState",
    "Call",
    "CallKind",
    "CallbackReceipt",
    "CallbackState",
    "Contact",
    "ContactStatus",
    "ContactSync",
    "DeliveryAttempt",
    "Engagement",
    "EventDefinition",
    "EventDelivery",
    "KeyRotation",
    "PurgeCursor",
    "RotationState",
    "StatBucket",
    "StatFrontier",
    "StatRecount",
    "StatTotal",
    "Suppression",
    "SyncState",
    "Tally",
    "What",
    "Worker",
    "WorkerPlace",
]
