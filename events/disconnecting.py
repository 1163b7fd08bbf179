"""What becomes of the queue of an integration that somebody disconnects: it is cancelled, and the history stays."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext_noop

from events.lookups import IS_DUE
from events.models import Contact, ContactStatus, ContactSync, EventDelivery, SyncState
from events.states import State
from events.statistics import disturb, ends_of
from integrations.locks import lock_integration
from integrations.models import Integration
from integrations.signals import account_changed, disconnected, waiting_events

CANCELLED: dict[str, Any] = {"status": State.CANCELLED, "next_attempt_at": None, "lease_owner": "", "lease_until": None}


@receiver(waiting_events, dispatch_uid="count_waiting_deliveries")
def count_waiting(integration: Integration, **_kwargs: Any) -> int:
    """Return how many deliveries would be cancelled. Two counts, each of an index of its own."""
    rows = EventDelivery.objects.filter(integration=integration)
    return rows.filter(IS_DUE).count() + rows.filter(status=State.HELD).count()


@receiver(disconnected, dispatch_uid="cancel_waiting_deliveries")
def cancel_waiting(integration: Integration, **_kwargs: Any) -> int:
    """Cancel what waits, also what a drain has claimed and not stamped: it then leaves in no call. Returns how many.

    Claims and stamps wait for this transaction. What is in a call under way is left to end; what of it would be tried
    again is cancelled by the sweep (`holding.hold`).
    """
    lock_integration(integration.pk)
    rows = EventDelivery.objects.filter(integration=integration)
    not_in_a_call = Q(call__isnull=True) | Q(call__ended_at__isnull=False)
    disturb(integration.pk, ends_of(rows.filter(status=State.HELD)))
    waiting = rows.filter(IS_DUE).update(**CANCELLED) + rows.filter(status=State.HELD).update(**CANCELLED)
    return waiting + rows.filter(not_in_a_call, status=State.SENDING).update(**CANCELLED)


@receiver(disconnected, dispatch_uid="stop_pushing_customers")
def stop_pushing(integration: Integration, **_kwargs: Any) -> int:
    """End a push of all customers: the next connection begins its own. Returns 0: this is no event."""
    running = ContactSync.objects.filter(integration=integration, state=SyncState.RUNNING)
    running.update(state=SyncState.STOPPED, ended_at=timezone.now(), message=gettext_noop("The integration was disconnected."))
    return 0


@receiver(account_changed, dispatch_uid="forget_pushed_profiles_of_another_account")
@receiver(disconnected, dispatch_uid="forget_pushed_profiles")
def forget_profiles(integration: Integration, **_kwargs: Any) -> int:
    """Push every profile anew: another account, or what may be one, knows none. Returns 0: these are no events."""
    known = Contact.objects.filter(integration=integration).exclude(pushed_hash="", status=ContactStatus.UNKNOWN)
    known.update(pushed_hash="", refused=[], status=ContactStatus.UNKNOWN, synced_at=None, reason="", dirty_at=None)
    return 0
