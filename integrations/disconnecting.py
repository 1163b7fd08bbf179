"""Disconnect: the credentials are deleted, what waits is cancelled, everything else stays for connecting anew.

Which events wait, and how they are cancelled, is the business of whoever listens to the signals.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from integrations.locks import lock_integration
from integrations.models import UNHELD, Integration, Status
from integrations.signals import disconnected, status_changed, waiting_events

# The callback token stays: links that were sent go on working. Settings and common property stay for the next time.
DISCONNECTED: dict[str, Any] = {
    "status": Status.DRAFT,
    "status_reason": "",
    "status_fix": "",
    "enabled": False,
    "initialized_at": None,
    "sealed_secrets": None,
    "secrets_changed_at": None,
    "sealed_candidate": None,
    "check_started_at": None,
    "status_before": "",
    "check_result": {},
    "checklist": {},
    **UNHELD,
    "account_mark": "",
}


def is_connected(integration: Integration) -> bool:
    """Tell whether there is anything to disconnect: a connection, or credentials that were saved for one."""
    known = integration.initialized_at or integration.sealed_secrets or integration.sealed_candidate
    return integration.status != Status.DRAFT or bool(known)


def count_waiting(integration: Integration) -> int:
    """Return how many events wait for this integration."""
    return sum(int(count or 0) for _receiver, count in waiting_events.send(Integration, integration=integration))


def disconnect(integration: Integration) -> int:
    """Disconnect at once, whatever is under way. Returns how many waiting events were cancelled.

    A check under way ends without consequence; calls under way end by themselves, and what of them would be tried again
    is cancelled instead.
    """
    with transaction.atomic():
        lock_integration(integration.pk)
        row = Integration.objects.select_for_update().get(pk=integration.pk)
        Integration.objects.filter(pk=row.pk).update(**DISCONNECTED, status_changed_at=timezone.now())
        cancelled = sum(int(count or 0) for _receiver, count in disconnected.send(Integration, integration=row))
    integration.refresh_from_db()
    if row.status != Status.DRAFT:
        status_changed.send(Integration, integration=integration, before=row.status, after=Status.DRAFT)
    return cancelled
