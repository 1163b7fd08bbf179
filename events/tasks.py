"""What django-q2 runs. Tasks carry ids only; a lost one loses nothing, a doubled one does nothing twice."""

from __future__ import annotations

import time

from django.utils import timezone

from events import bulk_run, syncing, tallies
from events import drain as drains
from events.models import Worker


def drain(integration_id: int) -> int:
    """Empty one integration's queue. Returns how many deliveries were handled."""
    began = time.monotonic()
    handled = drains.drain(integration_id)
    if handled:
        tallies.add(tallies.drain_counts(time.monotonic() - began), integration_id)
    return handled


def push_contacts(integration_id: int) -> int:
    """Push the profiles that are due over one integration. Returns how many were looked at."""
    return syncing.push_contacts(integration_id)


def run_bulk_action(action_id: int) -> int:
    """Do one turn of a retry, replay or cancel of many. Returns how many deliveries were looked at."""
    return bulk_run.run(action_id)


def canary(worker_name: str) -> None:
    """Prove that a cluster runs tasks: note the time in its worker's row."""
    Worker.objects.filter(name=worker_name).update(canary_at=timezone.now())
