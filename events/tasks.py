"""What django-q2 runs. Tasks carry ids only; a lost one loses nothing, a doubled one does nothing twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from events import bell, bulk_run, callbacks, closing, notices, rotating, syncing, tallies
from events import drain as drains
from events.models import Worker

logger = logging.getLogger(__name__)


def drain(integration_id: int, token: int | None = None) -> int:
    """Empty one integration's queue, if the bell still asks for it (see `events.bell`). Returns how many were handled."""
    return _work(partial(_drain, token=token), bell.clear, integration_id)


def _drain(integration_id: int, token: int | None) -> int:
    """Drain, and note how long that took."""
    began = time.monotonic()
    handled = drains.drain(integration_id, token)
    if handled:
        tallies.add(tallies.drain_counts(time.monotonic() - began), integration_id)
    return handled


def push_contacts(integration_id: int, token: int | None = None) -> int:
    """Push the profiles that are due over one integration, if the bell still asks for it. Returns how many were looked at."""
    return _work(partial(syncing.push_contacts, token=token), bell.clear_push, integration_id)


def tell(notice_id: int, tries: int) -> int:
    """Hand over the mail that a notice is due for. Returns to how many people."""
    return notices.tell(notice_id, tries, timezone.now())


def run_bulk_action(action_id: int) -> int:
    """Do one turn of a retry, replay or cancel of many. Returns how many deliveries were looked at."""
    return while_database_lasts(bulk_run.run, action_id, "bulk action")


def rotate_keys(rotation_id: int) -> int:
    """Do one turn of a key rotation. Returns how many secrets were looked at."""
    return while_database_lasts(rotating.work, rotation_id, "key rotation")


def work_on_callbacks(integration_id: int) -> int:
    """Work on what an integration's provider sent back. Returns how many bodies."""
    return while_database_lasts(callbacks.work, integration_id, callbacks.WHOSE)


def canary(worker_name: str) -> None:
    """Prove that a cluster runs tasks: note the time in its worker's row."""
    Worker.objects.filter(name=worker_name).update(canary_at=timezone.now())


def _work(work: Callable[[int], int], clear_bell: Callable[[int], None], integration_id: int) -> int:
    """Do the work, unless this process is about to end: then the next worker's first sweep rings again, at once.

    Calls that a lost database leaves without an end become uncertain, and claims go back, by the sweep.
    """

    def unless_closing(pk: int) -> int:
        if closing.is_closing():
            clear_bell(pk)
            return 0
        return work(pk)

    return while_database_lasts(unless_closing, integration_id, "integration")


def while_database_lasts(work: Callable[[int], int], pk: int, what: str) -> int:
    """Work on one row. A database that goes away meanwhile is one line in the log: a sweep rings again. Returns what it did."""
    try:
        return work(pk)
    except (OperationalError, InterfaceError) as error:
        logger.warning("The database went away while %s %s was worked on (%s).", what, pk, type(error).__name__)
        return 0
