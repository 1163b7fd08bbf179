"""Key rotation as a run in the background (`events.runs`): begun by a page or by `manage.py rotatekeys`, by the same means.

Each secret is written by a statement of its own (`integrations.rotation`); a batch's progress follows it. Whatever is killed in
between looks at that batch again, finds it done, and writes nothing twice.
"""

from __future__ import annotations

import hashlib
import logging
import time
from itertools import islice
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from events import bell, closing
from events.models import KeyRotation, RotationState
from events.runs import Runs, leased_until
from integrations import rotation
from integrations.audit import Act, note
from integrations.rotation import Column, State

logger = logging.getLogger(__name__)
TURN_SECONDS = 2.0  # then other tasks have their turn
MOST_PASSES = 3  # a row that was read before it was renewed may be saved again as it was
MOST_NAMED = 200  # of those that cannot be read; the others are counted
RUNS = Runs(
    KeyRotation,
    bell.ROTATE_TASK,
    gettext_lazy("Stopped after an error of ours, which was logged. Begin again: it goes on from there."),
    is_of_merchant=False,
)


# --- Starting and stopping -----------------------------------------------------------------------------------------------
def start(user: Any = None) -> KeyRotation:
    """Begin to encrypt everything with the first key; None for `user`: the command. Returns the run.

    There is one at a time. One that was stopped goes on where it was, as long as the keys are the same.
    """
    run = KeyRotation.objects.filter(state=RotationState.RUNNING).first()
    if run is not None and run.ring != ring():
        stop(run, _("Stopped: the keys or their order were changed meanwhile."))
        run = None
    if run is None:
        try:
            run = _resumed(user) or _begun(user)
        except IntegrityError:  # somebody else began in this very moment
            run = KeyRotation.objects.get(state=RotationState.RUNNING)
    return run


def stop(run: KeyRotation, message: str = "", user: Any = None) -> bool:
    """Stop where it is: what was re-encrypted stays so. Returns False where it is over already."""
    words = {"ended_at": timezone.now(), "message": message or _("Stopped by hand.")}
    with transaction.atomic():
        running = KeyRotation.objects.filter(pk=run.pk, state=RotationState.RUNNING)
        if not running.update(state=RotationState.STOPPED, **words):
            return False
        note(Act.ROTATE, run, actor=user, result="stopped")
    return True


def ring() -> str:
    """Return what the keys in their order are known by, for comparison."""
    return hashlib.sha256(" ".join(rotation.fingerprints()).encode()).hexdigest()


def _begun(user: Any) -> KeyRotation:
    """Begin anew. Raises IntegrityError where one runs."""
    with transaction.atomic():
        key, total = next(iter(rotation.fingerprints()), ""), _total()
        run = KeyRotation.objects.create(ring=ring(), key=key, total=total, asked_by=user)
        note(Act.ROTATE, run, actor=user, result="started", key=key)
        bell.after_commit(RUNS.ring, run.pk, "key rotation")
    logger.info("Key rotation %s begins: %s secrets.", run.pk, total)
    return run


def _resumed(user: Any) -> KeyRotation | None:
    """Go on with the last run, if it was stopped and the keys are the same. Raises IntegrityError where another one runs."""
    last = KeyRotation.objects.first()
    if last is None or last.state != RotationState.STOPPED or last.ring != ring():
        return None
    values = {"state": RotationState.RUNNING, "ended_at": None, "message": "", "failures": 0, "next_at": timezone.now()}
    with transaction.atomic():
        if not KeyRotation.objects.filter(pk=last.pk, state=RotationState.STOPPED).update(**values):
            return None
        note(Act.ROTATE, last, actor=user, result="resumed")
        bell.after_commit(RUNS.ring, last.pk, "key rotation")
    last.refresh_from_db()
    return last


def _total() -> int:
    """Return how many secrets there are."""
    return sum(column.rows().count() for column in rotation.columns())


# --- A turn --------------------------------------------------------------------------------------------------------------
def work(run_id: int) -> int:
    """Do one turn of a rotation (see `events.runs`). Returns how many secrets were looked at.

    Raises OperationalError and InterfaceError: the database went away, and the sweep rings again.
    """
    return RUNS.work(run_id, _turn, stop)


def _turn(run: KeyRotation, owner: str) -> int:
    """Do batches until the run is over or the turn is."""
    if run.ring != ring():  # with another first key it would encrypt backwards
        RUNS.wait(run, owner, _("A process still has other keys, or another order of them: restart web server and workers."))
        return 0
    deadline, handled = time.monotonic() + TURN_SECONDS, 0
    while not closing.is_closing() and (done := _batch(run, owner)) is not None:
        handled += done
        if time.monotonic() >= deadline:
            break
    return handled


def _batch(run: KeyRotation, owner: str) -> int | None:
    """Do the next batch; None where the run is over, or no longer ours to do."""
    results, column, cursor = _renewed(run)
    found = [each for each, _was_written in results]
    written = sum(was_written for _each, was_written in results)
    lost = [[each.column.label, str(each.pk), each.why] for each in found if each.state is State.UNREADABLE]
    values: dict[str, Any] = {
        "handled": run.handled + len(found),
        "renewed": run.renewed + written,
        "written": F("written") + written,
        "former": run.former + sum(each.state is State.FORMER for each in found),
        "unreadable": run.unreadable + len(lost),
        "lost": [*run.lost, *lost][:MOST_NAMED],
        "column": column,
        "cursor": cursor,
    }
    if not column:
        values |= _after_pass(run, values)
    return len(found) if _note(run, owner, values) else None


def _renewed(run: KeyRotation) -> tuple[list[tuple[rotation.Found, bool]], str, str]:
    """Renew a batch, across columns. Returns what was found, and where to go on; nowhere, where that was the last of all."""
    columns = rotation.columns()
    results: list[tuple[rotation.Found, bool]] = []
    place = next((place for place, column in enumerate(columns) if column.label == run.column), 0)
    cursor = run.cursor
    for column in columns[place:]:
        room = rotation.BATCH_ROWS - len(results)
        found = list(islice(rotation.renew(column, cursor or None), room))
        results += found
        if len(found) == room:
            return results, column.label, str(found[-1][0].pk)
        cursor = ""
    return results, "", ""


def _after_pass(run: KeyRotation, seen: dict[str, Any]) -> dict[str, Any]:
    """Return what follows a pass: another look at everything, as long as something had to be written, or the end."""
    if (seen["renewed"] or seen["former"]) and run.passes < MOST_PASSES:
        fresh = dict.fromkeys(("handled", "renewed", "former", "unreadable"), 0)
        return {"passes": run.passes + 1, "total": _total(), "lost": [], **fresh}
    return {"state": RotationState.DONE, "ended_at": timezone.now(), "total": seen["handled"]}


def _note(run: KeyRotation, owner: str, values: dict[str, Any]) -> bool:
    """Write down how far the run is. Returns False where it is over, or was stopped or taken over."""
    now = timezone.now()
    mine = KeyRotation.objects.filter(
        pk=run.pk,
        state=RotationState.RUNNING,
        lease_owner=owner,
        lease_until__gt=now,
        passes=run.passes,
        column=run.column,
        cursor=run.cursor,
    )
    with transaction.atomic():
        if not mine.update(**values, message="", failures=0, lease_until=leased_until(now)):
            return False
        run.refresh_from_db()
        if run.state == RotationState.DONE:
            note(Act.ROTATE, run, actor=run.asked_by, result="done", number=run.written, unreadable=run.unreadable)
    return run.state == RotationState.RUNNING


def lost_of(run: KeyRotation) -> list[rotation.Found]:
    """Return what a run could not read, as far as it names them."""
    known: dict[str, Column] = {column.label: column for column in rotation.columns()}
    return [rotation.Found(known[label], pk, State.UNREADABLE, why) for label, pk, why in run.lost if label in known]
