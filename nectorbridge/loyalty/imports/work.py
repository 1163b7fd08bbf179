"""An import at work, as a run in the background (`events.runs`).

A part is gone from the database with the same commit that writes its rows, so that whatever is killed in between loses no row and
doubles none: the next worker, once the lease is over, finds the parts that are still to be done.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy, gettext_noop

from events import bell, closing
from events.runs import Runs, leased_until
from integrations.models import Integration, Merchant
from nectorbridge.loyalty.imports import storing
from nectorbridge.loyalty.imports.applying import Outcome, apply
from nectorbridge.loyalty.imports.rows import Fault, Reader
from nectorbridge.loyalty.models import ImportFault, ImportPart, ImportRun, ImportState
from nectorbridge.loyalty.models.imports import LONGEST_MESSAGE, OVER

logger = logging.getLogger(__name__)
WORK_TASK = "nectorbridge.loyalty.tasks.work_on_import"
TURN_SECONDS = 4.0  # then other tasks have their turn
MOST_FAULTS = 10_000  # of one import; the others are counted
DRAFTS_KEPT = timedelta(days=2)  # files that nobody started: they are full of people
RUNS = Runs(ImportRun, WORK_TASK, gettext_lazy("Stopped after an error of ours, which was logged. What was imported stays."))


# --- Starting and stopping -----------------------------------------------------------------------------------------------
def start(run: ImportRun, user: Any, starts_journeys: bool) -> bool:
    """Begin an import that was looked at. Returns False where it is not waiting for that."""
    now = timezone.now()
    draft = ImportRun.objects.filter(pk=run.pk, state=ImportState.DRAFT)
    values = {"asked_by": user, "starts_journeys": starts_journeys, "started_at": now, "next_at": now}
    if not draft.update(state=ImportState.RUNNING, **values):
        return False
    logger.info("Import %s of merchant %s begins: %s rows.", run.pk, run.merchant_id, run.rows)
    bell.after_commit(RUNS.ring, run.pk, "import")
    return True


def stop(run: ImportRun, message: str = "") -> bool:
    """End an import where it is, and forget what is left of its file. Returns False where it is over already."""
    with transaction.atomic():
        running = ImportRun.objects.filter(pk=run.pk, state=ImportState.RUNNING)
        words = message or gettext_noop("Stopped by hand. What was imported stays.")
        if not running.update(state=ImportState.STOPPED, ended_at=timezone.now(), message=words, preview={}):
            return False
        ImportPart.objects.filter(run=run.pk).delete()
    return True


def discard(run: ImportRun) -> bool:
    """Forget an import that was not started. Returns False where it was."""
    return bool(ImportRun.objects.filter(pk=run.pk, state__in=(ImportState.DRAFT, ImportState.READING)).delete()[0])


# --- What waits ----------------------------------------------------------------------------------------------------------
def ring_for_due() -> int:
    """Ring for every import that is due and at which nobody works, and forget old drafts. Returns for how many it rang."""
    unused = (ImportState.DRAFT, ImportState.READING)
    drafts = ImportRun.objects.filter(created_at__lt=timezone.now() - DRAFTS_KEPT, state__in=unused)
    if drafts.exists():
        drafts.delete()
    return RUNS.ring_for_due()


def over(before: datetime) -> QuerySet[ImportRun]:
    """Return imports that ended and were uploaded before that moment."""
    return ImportRun.objects.filter(created_at__lt=before, state__in=OVER).order_by("created_at")


# --- A turn --------------------------------------------------------------------------------------------------------------
def work(run_id: int) -> int:
    """Do one turn of an import (see `events.runs`). Returns how many rows were done.

    Raises OperationalError and InterfaceError: the database went away, and the sweep rings again.
    """
    return RUNS.work(run_id, _turn, stop)


def _turn(run: ImportRun, owner: str) -> int:
    """Do parts until there is none, or the turn is over. Returns how many rows were done."""
    deadline, done = time.monotonic() + TURN_SECONDS, 0
    reader = Reader(run.merchant.timezone, run.started_at or timezone.now())
    while not closing.is_closing() and not _must_wait(run, owner) and (outcome := _part(run, owner, reader)) is not None:
        done += outcome.done
        if time.monotonic() >= deadline:
            break
    return done


def _must_wait(run: ImportRun, owner: str) -> bool:
    """Tell whether a provider has enough to do already: fresh events would only wait behind an import's."""
    mine = Integration.objects.filter(merchant=run.merchant_id).values_list("pk", flat=True)
    return run.starts_journeys and RUNS.wait_for(run, owner, list(mine))


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
        "lease_until": leased_until(timezone.now()),
    }
