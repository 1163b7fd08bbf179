"""An import at work: turns of a few seconds, each part with its progress in one transaction.

A part is gone from the database with the same commit that writes its rows, so that whatever is killed in between loses no row and
doubles none: the next worker, once the lease is over, finds the parts that are still to be done. Two workers at one import, two
clicks and a stop in the middle are decided by conditions on the run's row. A lost bell costs a sweep.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from events import bell, closing
from events.bulk_run import first_full, may_act
from events.claims import new_owner
from integrations.models import Integration, Merchant
from nectorbridge.loyalty.imports import storing
from nectorbridge.loyalty.imports.applying import Outcome, apply
from nectorbridge.loyalty.imports.rows import Fault, Reader
from nectorbridge.loyalty.models import ImportFault, ImportPart, ImportRun, ImportState
from nectorbridge.loyalty.models.imports import LONGEST_MESSAGE, OVER

logger = logging.getLogger(__name__)
WORK_TASK = "nectorbridge.loyalty.tasks.work_on_import"
WHAT = "import"
TURN_SECONDS = 4.0  # then other tasks have their turn
MOST_FAULTS = 10_000  # of one import; the others are counted
PATIENCE = 5  # errors of ours in a row
FIRST_WAIT_SECONDS = 1.0
DRAFTS_KEPT = timedelta(days=2)  # files that nobody started: they are full of people


# --- Starting and stopping -----------------------------------------------------------------------------------------------
def start(run: ImportRun, user: Any, starts_journeys: bool) -> bool:
    """Begin an import that was looked at. Returns False where it is not waiting for that."""
    now = timezone.now()
    draft = ImportRun.objects.filter(pk=run.pk, state=ImportState.DRAFT)
    values = {"asked_by": user, "starts_journeys": starts_journeys, "started_at": now, "next_at": now}
    if not draft.update(state=ImportState.RUNNING, **values):
        return False
    logger.info("Import %s of merchant %s begins: %s rows.", run.pk, run.merchant_id, run.rows)
    bell.after_commit(ring, run.pk, WHAT)
    return True


def stop(run: ImportRun, message: str = "") -> bool:
    """End an import where it is, and forget what is left of its file. Returns False where it is over already."""
    with transaction.atomic():
        running = ImportRun.objects.filter(pk=run.pk, state=ImportState.RUNNING)
        words = message or _("Stopped by hand. What was imported stays.")
        if not running.update(state=ImportState.STOPPED, ended_at=timezone.now(), message=words, preview={}):
            return False
        ImportPart.objects.filter(run=run.pk).delete()
    return True


def discard(run: ImportRun) -> bool:
    """Forget an import that was not started. Returns False where it was."""
    return bool(ImportRun.objects.filter(pk=run.pk, state__in=(ImportState.DRAFT, ImportState.READING)).delete()[0])


# --- The bell ------------------------------------------------------------------------------------------------------------
def ring(run_id: int) -> bool:
    """Ask for a turn of an import, unless one is asked for already. Returns whether it rang."""
    now = timezone.now()
    silent = Q(rung_at__isnull=True) | Q(rung_at__lt=now - timedelta(seconds=settings.DELIVERY_SWEEP_SECONDS))
    if not ImportRun.objects.filter(silent, pk=run_id, state=ImportState.RUNNING).update(rung_at=now):
        return False
    return bell.ask(WORK_TASK, run_id)


def ring_for_due() -> int:
    """Ring for every import that is due and at which nobody works, and forget old drafts. Returns for how many it rang."""
    now = timezone.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    due = ImportRun.objects.filter(free, state=ImportState.RUNNING, next_at__lte=now)
    rung = sum(ring(pk) for pk in due.values_list("pk", flat=True))
    drafts = ImportRun.objects.filter(created_at__lt=now - DRAFTS_KEPT, state__in=(ImportState.DRAFT, ImportState.READING))
    if drafts.exists():
        drafts.delete()
    return rung


def over(before: datetime) -> QuerySet[ImportRun]:
    """Return imports that ended and were uploaded before that moment."""
    return ImportRun.objects.filter(created_at__lt=before, state__in=OVER).order_by("created_at")


# --- A turn --------------------------------------------------------------------------------------------------------------
def work(run_id: int) -> int:
    """Do one turn of an import. Safe to run twice or for nothing. Returns how many rows were done.

    Raises OperationalError and InterfaceError: the database went away, and the sweep rings again.
    """
    owner, done = new_owner(), 0
    ImportRun.objects.filter(pk=run_id).update(rung_at=None)
    if closing.is_closing() or not _lease(run_id, owner):
        return 0
    try:
        done = _turn(run_id, owner)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # a worker's edge: recorded, tried again in a while, and never for ever
        logger.exception("Import %s could not go on.", run_id)
        _failed(run_id, owner)
        return 0
    finally:
        ImportRun.objects.filter(pk=run_id, lease_owner=owner).update(lease_owner="", lease_until=None)
    if ImportRun.objects.filter(pk=run_id, state=ImportState.RUNNING, next_at__lte=timezone.now()).exists():
        ring(run_id)
    return done


def _lease(run_id: int, owner: str) -> bool:
    """Take the right to work at an import; False where it is over, or another worker has it."""
    now = timezone.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    mine = ImportRun.objects.filter(free, pk=run_id, state=ImportState.RUNNING, next_at__lte=now)
    return bool(mine.update(lease_owner=owner, lease_until=now + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)))


def _turn(run_id: int, owner: str) -> int:
    """Do parts until there is none, or the turn is over. Returns how many rows were done."""
    run = ImportRun.objects.select_related("merchant", "asked_by").get(pk=run_id)
    if not may_act(run.asked_by, run.merchant):
        stop(run, _("Stopped: whoever asked for it may no longer act for this merchant."))
        return 0
    deadline, done = time.monotonic() + TURN_SECONDS, 0
    reader = Reader(run.merchant.timezone, run.started_at or timezone.now())
    while not closing.is_closing() and not _must_wait(run, owner) and (outcome := _part(run, owner, reader)) is not None:
        done += outcome.done
        if time.monotonic() >= deadline:
            break
    return done


def _must_wait(run: ImportRun, owner: str) -> bool:
    """Tell whether a provider has enough to do already, and note that: fresh events would only wait behind an import's."""
    if not run.starts_journeys:
        return False
    full = first_full(list(Integration.objects.filter(merchant=run.merchant_id).values_list("pk", flat=True)))
    if full is None:
        return False
    words = _("It waits until %(provider)s has taken more of its queue, so that fresh events are not held up.")
    wait = timezone.now() + timedelta(seconds=FIRST_WAIT_SECONDS)
    mine = ImportRun.objects.filter(pk=run.pk, lease_owner=owner, state=ImportState.RUNNING)
    mine.update(next_at=wait, message=words % {"provider": full.label})
    return True


def _part(run: ImportRun, owner: str, reader: Reader) -> Outcome | None:
    """Do the next part with its progress in one transaction; None where there is none, or it is no longer ours to do."""
    with transaction.atomic():
        mine = ImportRun.objects.filter(pk=run.pk, state=ImportState.RUNNING, lease_owner=owner, position=run.position)
        locked = mine.select_for_update(no_key=True).first()
        if locked is None:  # stopped, or taken over after the lease
            return None
        # One import of a merchant at a time, or two would make the same customer.
        Merchant.objects.select_for_update(no_key=True).get(pk=run.merchant_id)
        part = ImportPart.objects.filter(run=run.pk, number=run.position).first()
        if part is None:
            mine.update(state=ImportState.DONE, ended_at=timezone.now(), message="", preview={})
            return None
        records = storing.unpacked(part.content)
        outcome = apply(run.merchant, records, reader, timezone.now(), is_backfill=not run.starts_journeys)
        kept = _keep(locked, outcome.faults)
        part.delete()
        lost = locked.faults_lost + len(outcome.faults) - kept
        mine.update(**_progress(locked, outcome), faults_kept=locked.faults_kept + kept, faults_lost=lost)
    run.position += 1
    return outcome


def _keep(run: ImportRun, faults: list[Fault]) -> int:
    """Write down what is wrong with rows, as long as there is room. Returns how many."""
    kept = faults[: max(0, MOST_FAULTS - run.faults_kept)]
    ImportFault.objects.bulk_create(
        ImportFault(
            run=run,
            row=fault.number,
            column=run.columns.get(fault.column, fault.column),
            message=fault.message[:LONGEST_MESSAGE],
            value=fault.value,
        )
        for fault in kept
    )
    return len(kept)


def _progress(run: ImportRun, outcome: Outcome) -> dict[str, Any]:
    """Return how far the import is with this part done."""
    counts = ("done", "created", "filled", "credited", "debited", "coins_in", "coins_out", "failed")
    return {name: getattr(run, name) + getattr(outcome, name) for name in counts} | {
        "position": run.position + 1,
        "message": "",
        "failures": 0,
        "lease_until": timezone.now() + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS),
    }


def _failed(run_id: int, owner: str) -> None:
    """Note an error of ours; after a few in a row the import stops, and says so."""
    mine = ImportRun.objects.filter(pk=run_id, lease_owner=owner, state=ImportState.RUNNING)
    run = mine.first()
    if run is None:
        return
    if run.failures + 1 >= PATIENCE:
        stop(run, _("Stopped after an error of ours, which was logged. What was imported stays."))
        return
    wait = timedelta(seconds=FIRST_WAIT_SECONDS * 2**run.failures)
    mine.update(failures=F("failures") + 1, next_at=timezone.now() + wait)
