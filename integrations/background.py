"""Initialize in the background: begun by a click, done by a worker, watched by the set-up page.

One conditional UPDATE begins a check, one takes it up, one ends it. So two clicks make one check, a task that runs twice
asks the provider once, and what comes of a check that was overtaken (by a crash, by a disconnect) changes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django_q.tasks import async_task

from integrations import candidates
from integrations.accounts import note_account
from integrations.audit import Act, note
from integrations.fields import SecretUnreadable
from integrations.hygiene import about
from integrations.models import UNHELD, Integration, Status
from integrations.providers.base import Verification
from integrations.signals import initialized, status_changed
from integrations.verification import check_result, end_check, examine, examine_saved, put_back

logger = logging.getLogger(__name__)
TASK = "integrations.tasks.initialize"
PICKED_UP_WITHIN = timedelta(seconds=10)  # a worker that runs takes a task up at once
QUEUED, RUNNING = "queued", "running"


def begin(integration: Integration, by: int | None = None, resumes: bool = True, **columns: Any) -> bool:
    """Note that a check begins, with `columns` saved in the same statement. Returns False where one is under way.

    `by` is the user who asked, for the history. `resumes`: success also ends a pause.
    """
    before = integration.status
    columns |= {
        "status": Status.INITIALIZING,
        "status_before": before,
        "check_started_at": timezone.now(),
        "check_result": {"state": QUEUED, "by": by, "resumes": resumes},
    }
    free = Integration.objects.filter(pk=integration.pk, status=before).exclude(status=Status.INITIALIZING)
    if not free.update(**columns):
        return False
    integration.refresh_from_db()
    status_changed.send(Integration, integration=integration, before=before, after=Status.INITIALIZING)
    return True


def ask_worker(integration: Integration) -> bool:
    """Ask a worker to do the check that has begun. Returns False where the task queue cannot be reached."""
    try:
        async_task(TASK, integration.pk, q_options={"save": False})
    except Exception:  # the queue may be a Redis that is down: any of its errors means the same
        logger.warning(
            "The task queue could not be reached; integration %s is checked in the request.",
            integration.pk,
            extra=about(integration.pk),
        )
        return False
    return True


def run(integration_id: int) -> bool:
    """Do the check that waits, if there is one. Returns whether it was done here. No transaction may be open."""
    rows = Integration.objects.filter(pk=integration_id, status=Status.INITIALIZING, check_result__state=QUEUED)
    integration = rows.select_related("merchant").first()
    if integration is None:
        return False
    running = integration.check_result | {"state": RUNNING}
    if not rows.filter(check_started_at=integration.check_started_at).update(check_result=running):
        return False
    candidate = None
    try:
        candidate = candidates.unseal(integration)
        checked = examine(integration.contract, candidate.account(integration)) if candidate else examine_saved(integration)
    except SecretUnreadable:
        checked = _unreadable_candidate()
    except Exception:  # the worker's edge: our own bug must not leave the page waiting
        logger.exception("The check of integration %s failed.", integration_id, extra=about(integration_id))
        checked = _own_fault()
    finish(integration, candidate, checked)
    return True


def finish(integration: Integration, candidate: candidates.Candidate | None, checked: Verification) -> bool:
    """Save what came of a check. Returns False where it was overtaken: then nothing changes."""
    had_candidate, asked_by = integration.sealed_candidate is not None, integration.check_result.get("by")
    if checked.ok:
        done = _accept(integration, candidate, checked)
    elif not checked.reachable:
        done = put_back(integration, check_result(checked, candidate=had_candidate))
    elif had_candidate:
        done = put_back(integration, check_result(checked, candidate=True), sealed_candidate=None)
    else:
        done = _end(integration, Status.ATTENTION, checked)
    if done:
        _note(integration, asked_by, checked.ok)
    return done


def _accept(integration: Integration, candidate: candidates.Candidate | None, checked: Verification) -> bool:
    """Connect; a candidate takes the place of the former values. Who only saved while paused stays paused."""
    stays_paused = integration.status_before == Status.PAUSED and not integration.check_result.get("resumes", True)
    columns: dict[str, Any] = {"initialized_at": timezone.now(), "enabled": True}
    if candidate:
        columns |= candidates.columns(integration, candidate)
    status = Status.PAUSED if stays_paused else Status.ACTIVE
    with transaction.atomic():
        if not _end(integration, status, replace(checked, reason="", fix=""), **columns):
            return False
        note_account(integration)
    if status == Status.ACTIVE:
        initialized.send(Integration, integration=integration)
    return True


def _end(integration: Integration, status: str, checked: Verification, **columns: Any) -> bool:
    """End the check with a new state."""
    columns |= {"status_reason": checked.reason, "status_fix": checked.fix, "status_changed_at": timezone.now()}
    columns |= UNHELD
    result = check_result(checked, candidate=integration.sealed_candidate is not None)
    return end_check(integration, status, result, **columns)


def _note(integration: Integration, user_id: int | None, ok: bool) -> None:
    """Write the check into the trail and the history of the integration, in the name of whoever asked for it."""
    user = get_user_model().objects.filter(pk=user_id).first() if user_id is not None else None
    note(Act.INITIALIZE, integration, actor=user, result="accepted" if ok else "refused")
    if user is None:
        return
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(Integration),
        object_id=str(integration.pk),
        object_repr=str(integration)[:200],
        action_flag=CHANGE,
        change_message=gettext_noop("Initialized.") if ok else gettext_noop("Tried to initialize; it did not work."),
    )


def waits_long(integration: Integration) -> bool:
    """Tell whether a check waits for a worker longer than it ever should."""
    started_at = integration.check_started_at
    waits = integration.status == Status.INITIALIZING and (integration.check_result or {}).get("state") == QUEUED
    return waits and started_at is not None and timezone.now() - started_at > PICKED_UP_WITHIN


def discard(integration: Integration) -> bool:
    """Forget new values that wait for a check. Returns False where there are none, or they are being checked."""
    waiting = Integration.objects.filter(pk=integration.pk, sealed_candidate__isnull=False)
    forgotten = waiting.exclude(status=Status.INITIALIZING).update(sealed_candidate=None, check_result={})
    integration.refresh_from_db()
    return bool(forgotten)


def _unreadable_candidate() -> Verification:
    """Return the verdict on new values that no key reads: they are discarded."""
    return Verification(False, _("they can no longer be read and were discarded."), _("Enter them again."))


def _own_fault() -> Verification:
    """Return the verdict of a check that broke by a fault of ours."""
    fix = _("Nothing was learned about the key. The fault is ours and was logged; initialize again later.")
    return Verification(False, _("The check itself failed."), fix, reachable=False)
