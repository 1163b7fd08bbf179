"""What staff see of the outbox: events, deliveries, and one delivery's whole story."""

from events.admin.audit import AuditEntryAdmin
from events.admin.bulk import BulkActionAdmin
from events.admin.definitions import EventDefinitionAdmin
from events.admin.deliveries import EventDeliveryAdmin
from events.admin.rotations import KeyRotationAdmin
from events.admin.syncs import ContactSyncAdmin

__all__ = [
    "AuditEntryAdmin",
    "BulkActionAdmin",
    "ContactSyncAdmin",
    "EventDefinitionAdmin",
    "EventDeliveryAdmin",
    "KeyRotationAdmin",
]
