"""Telling people once that an integration needs attention, and once more when it sends again.

The sweep compares the integrations with what people were told, which is stored (`integrations.models.Notice`): so neither a
restart nor a second worker repeats it. A trouble that comes back within `QUIET` is told only if it is still there then. The
mail itself is written by a task, outside of any transaction (`events.mails`); one that cannot be handed over is tried again
a few times, and no queue waits for it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef
from django_q.tasks import async_task

from events import mails
from integrations.models import Integration, Notice, Status

logger = logging.getLogger(__name__)
TASK = "events.tasks.tell"
QUIET = timedelta(minutes=15)  # after a mail about an integration: a state that flaps is told once
STEPS = (60, 300, 1800, 7200)  # seconds before each further try to hand a mail over
DUMMY = "django.core.mail.backends.dummy.EmailBackend"


def is_configured() -> bool:
    """Tell whether mail goes anywhere."""
    return bool(settings.EMAIL_BACKEND != DUMMY)


def look(now: datetime) -> int:
    """Open, close and ask for what is due. Safe to run twice, at the same time. Returns how many mails were asked for."""
    for pk, told_at in _newly_troubled():
        due = max(now, told_at + QUIET) if told_at else now
        opened = Notice(integration_id=pk, opened_at=now, next_try_at=due)
        Notice.objects.bulk_create([opened], ignore_conflicts=True)  # of two workers one opens it
    for notice in Notice.objects.filter(closed_at__isnull=True).select_related("integration"):
        _follow(notice, now)
    return _ask(now) if is_configured() else 0


def _newly_troubled() -> list[tuple[int, datetime | None]]:
    """Return integrations that need attention and of which nothing is open, each with when people were last told of one."""
    mine = Notice.objects.filter(integration=OuterRef("pk"))
    troubled = Integration.objects.filter(status=Status.ATTENTION, enabled=True).exclude(
        Exists(mine.filter(closed_at__isnull=True))
    )
    found = list(troubled.values_list("pk", flat=True))
    last: dict[int, datetime | None] = dict.fromkeys(found)
    told = Notice.objects.filter(integration__in=found, told_at__isnull=False).order_by("told_at")
    return list({**last, **dict(told.values_list("integration", "told_at"))}.items()) if found else []


def _follow(notice: Notice, now: datetime) -> None:
    """Note on an open notice what has become of its integration."""
    mine = Notice.objects.filter(pk=notice.pk, closed_at__isnull=True)
    status = notice.integration.status
    if status == Status.ACTIVE and notice.recovered_at is None:
        if notice.told:
            mine.filter(recovered_at__isnull=True).update(recovered_at=now, tries=0, next_try_at=now)
        else:
            mine.update(closed_at=now, next_try_at=None)
    elif status == Status.ATTENTION and notice.told_again:  # some were told that all is well: that is over
        mine.update(closed_at=now, next_try_at=None)
    elif status == Status.ATTENTION and notice.recovered_at is not None:  # it has flapped, and people know
        mine.exclude(recovered_at__isnull=True).update(recovered_at=None, next_try_at=None)
    elif status == Status.DRAFT or (status == Status.PAUSED and not notice.told):  # somebody has taken it in hand
        mine.update(closed_at=now, next_try_at=None)


def _ask(now: datetime) -> int:
    """Ask for a task for each mail that is due. Of several workers one asks; the time of the next try is stored with it."""
    due = Notice.objects.filter(closed_at__isnull=True, next_try_at__lte=now)
    due.filter(tries__gt=len(STEPS), recovered_at__isnull=False).update(closed_at=now, next_try_at=None)
    due.filter(tries__gt=len(STEPS)).update(next_try_at=None)  # its last task never came back
    asked = 0
    for pk, tries in due.values_list("pk", "tries"):
        again = now + timedelta(seconds=STEPS[min(tries, len(STEPS) - 1)])
        if due.filter(pk=pk, tries=tries).update(next_try_at=again):
            asked += _queue(pk, tries)
    return asked


def _queue(notice_id: int, tries: int) -> bool:
    """Queue the task. Tells whether that worked."""
    try:
        async_task(TASK, notice_id, tries, q_options={"save": False})
    except Exception:  # the queue may be a Redis that is down: any of its errors means the same
        logger.warning("The task queue could not be reached; notice %s is written at a later sweep.", notice_id)
        return False
    return True


def tell(notice_id: int, tries: int, now: datetime) -> int:
    """Hand over the mail that this notice is due for. Returns to how many people. No transaction may be open.

    `tries`: how often it was tried when this task was asked for. A task that is run twice finds another number, and tells nobody.
    """
    notice = Notice.objects.filter(pk=notice_id, closed_at__isnull=True).select_related("integration__merchant").first()
    if notice is None or notice.next_try_at is None:
        return 0
    if not Notice.objects.filter(pk=notice_id, tries=tries, closed_at__isnull=True).update(tries=tries + 1):
        return 0
    notice.tries = tries + 1
    return _tell_of_trouble(notice, now) if notice.recovered_at is None else _tell_of_recovery(notice, now)


def _tell_of_trouble(notice: Notice, now: datetime) -> int:
    """Write to owners and managers that it needs attention."""
    if notice.integration.status != Status.ATTENTION:  # the next sweep says what that means
        return 0
    people = [user for user in mails.recipients(notice.integration) if user.pk not in notice.told]
    handed = mails.send(mails.trouble(notice.integration, now), people)
    told = [*notice.told, *handed]
    values = {"told": told, "told_at": now} if handed else {}
    _end(notice, len(handed) == len(people), **values)
    logger.info("Integration %s needs attention: %d of %d people were told.", notice.integration_id, len(handed), len(people))
    return len(handed)


def _tell_of_recovery(notice: Notice, now: datetime) -> int:
    """Write to those who were told that it sends again."""
    if notice.integration.status != Status.ACTIVE:
        return 0
    known = [user for user in mails.recipients(notice.integration) if user.pk in notice.told and user.pk not in notice.told_again]
    handed = mails.send(mails.recovery(notice.integration, notice.opened_at, now), known)
    complete = len(handed) == len(known)
    over = complete or notice.tries > len(STEPS)
    _end(notice, complete, told_again=[*notice.told_again, *handed], **({"closed_at": now} if over else {}))
    logger.info("Integration %s sends again: %d of %d people were told.", notice.integration_id, len(handed), len(known))
    return len(handed)


def _end(notice: Notice, complete: bool, **values: object) -> None:
    """Save what came of a try; no further one comes once all were told, or it was tried often enough."""
    if complete or notice.tries > len(STEPS):
        values["next_try_at"] = None
    Notice.objects.filter(pk=notice.pk).update(**values)
    if not complete and "next_try_at" in values:
        logger.warning("Notice %s could not be handed over; given up after %d tries.", notice.pk, notice.tries)
