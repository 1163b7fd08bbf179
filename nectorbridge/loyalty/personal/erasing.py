"""The erasure of one customer as a run in the background (`events.runs`): steps, each of small parts.

A part, its counts and its place are one transaction, so whatever is killed in between goes on where it was and counts nothing
twice. What names the customer in passing goes first, while it is still known what names them; the customer goes last.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from events import bell, closing, erasing
from events.claims import new_owner
from events.personal import ALIAS, Busy, Part, Person, Step
from events.runs import Runs, leased_until
from nectorbridge.loyalty.models import Customer, ErasureReport, ErasureState, WebhookReceipt
from nectorbridge.loyalty.personal import files, ledger, receipts
from nectorbridge.loyalty.personal.person import person_of, refs_of

logger = logging.getLogger(__name__)
WORK_TASK = "nectorbridge.loyalty.tasks.work_on_erasure"
TURN_SECONDS = 4.0
BUSY_WAIT = timedelta(seconds=10)
LOOK_AGAIN_AFTER = timedelta(minutes=2)  # longer than a transaction that records takes
RUNS = Runs(ErasureReport, WORK_TASK, gettext_lazy("Stopped after an error of ours, which was logged. Erase the customer again."))


class ErasureError(ValueError):
    """A customer cannot be erased right now. The message says why."""


@dataclass(frozen=True, slots=True)
class Work:
    """One turn: the report, the customer as they still are, and who they are everywhere."""

    report: ErasureReport
    customer: Customer
    person: Person


# --- Steps -----------------------------------------------------------------------------------------------------------------
def _outbox(step: Step) -> Callable[[Work, str], Part]:
    """Return a step of the outbox as one of ours."""
    return lambda work, cursor: step(work.person, cursor)


def _gone(work: Work, _cursor: str) -> Part:
    """Forget what came meanwhile, then the customer. What is recorded later is found by `look_again`."""
    counts: Counter[str] = Counter()
    for step in (erasing.withdraw, erasing.deliveries, erasing.contacts):
        part = step(work.person, "")
        counts += part.counts
        if part.cursor is not None:
            return Part(counts, "")
    late = WebhookReceipt.objects.filter(merchant=work.report.merchant_id, received_at__gte=work.report.started_at)
    for receipt in late.iterator():
        if receipts.is_about(receipt, work.customer, work.person):
            counts["receipts"] += receipt.delete()[0]
    return Part(+(counts + ledger.delete(work.customer).counts), None)


STEPS: tuple[Callable[[Work, str], Part], ...] = (
    _outbox(erasing.withdraw),
    _outbox(erasing.others),
    _outbox(erasing.calls),
    _outbox(erasing.callbacks),
    _outbox(erasing.traces),
    lambda work, cursor: receipts.forget(work.customer, work.person, cursor),
    lambda work, cursor: files.forget(work.customer, work.person, cursor),
    lambda work, _cursor: ledger.forget_as_friend(work.customer, work.person),
    lambda work, _cursor: ledger.forget_in_log(work.customer, work.person),
    _outbox(erasing.deliveries),
    _outbox(erasing.contacts),
    _gone,
)


# --- Starting and stopping -------------------------------------------------------------------------------------------------
def start(customer: Customer, user: Any) -> ErasureReport:
    """Begin to forget a customer; while that runs, it is the same run. Raises ErasureError where a message is on its way."""
    refs, alias = refs_of(customer), uuid.uuid4()
    try:
        erasing.refuse_busy(person_of(customer, refs, alias))
    except Busy:
        raise ErasureError(_("A message to this customer is being sent at this moment. Try again in a minute.")) from None
    values = {"asked_by": user, "refs": refs, "alias": alias}
    try:
        with transaction.atomic():
            report = ErasureReport.objects.create(merchant=customer.merchant, customer_key=customer.pk, **values)
            bell.after_commit(RUNS.ring, report.pk, "erasure")
    except IntegrityError:
        return ErasureReport.objects.get(customer_key=customer.pk, state=ErasureState.RUNNING)
    logger.info("Erasure %s of merchant %s begins.", report.pk, customer.merchant_id)
    return report


def stop(report: ErasureReport, message: str = "") -> bool:
    """End an erasure where it is: what is forgotten stays forgotten. Returns False where it is over already."""
    running = ErasureReport.objects.filter(pk=report.pk, state=ErasureState.RUNNING)
    return bool(running.update(state=ErasureState.STOPPED, ended_at=timezone.now(), message=message, **NOBODY))


NOBODY: dict[str, Any] = {"customer_key": None, "refs": [], "alias": None, "cursor": ""}


# --- A turn ----------------------------------------------------------------------------------------------------------------
def work(report_id: int) -> int:
    """Do one turn (see `events.runs`). Returns how many parts were done."""
    return RUNS.work(report_id, turn, stop)


def carry_out(report: ErasureReport) -> ErasureReport:
    """Do all of it at once, for programs: whoever calls is responsible for who may. Returns the report as it is then."""
    owner = new_owner()
    if RUNS.lease(report.pk, owner):
        report.refresh_from_db()
        try:
            turn(report, owner, seconds=None)
        finally:
            ErasureReport.objects.filter(pk=report.pk, lease_owner=owner).update(lease_owner="", lease_until=None)
    report.refresh_from_db()
    return report


def turn(report: ErasureReport, owner: str, seconds: float | None = TURN_SECONDS) -> int:
    """Do parts until it is over or the turn is. Returns how many."""
    customer = Customer.objects.select_related("merchant").filter(pk=report.customer_key or 0).first()
    if customer is None:
        stop(report, _("The customer is gone: deleted, or merged with another one. Erase that one."))
        return 0
    this, done = Work(report, customer, person_of(customer, report.refs, report.alias)), 0
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        while not closing.is_closing() and _part(this, owner):
            done += 1
            if deadline is not None and time.monotonic() >= deadline:
                break
    except Busy:
        words = _("It waits for a message that is being sent.")
        _mine(this, owner).update(next_at=timezone.now() + BUSY_WAIT, message=words)
    return done


def _part(this: Work, owner: str) -> bool:
    """Do the next part with its counts and its place in one transaction. Returns False where it is over, or no longer ours."""
    report = this.report
    with transaction.atomic():
        if _mine(this, owner).select_for_update(no_key=True).first() is None:
            return False
        part = STEPS[report.step](this, report.cursor)
        report.counts = dict(Counter(report.counts) + part.counts)
        report.step, report.cursor = (report.step, part.cursor) if part.cursor is not None else (report.step + 1, "")
        is_over = report.step == len(STEPS)
        place = {"step": report.step, "cursor": report.cursor, "counts": report.counts, "message": "", "failures": 0}
        rows = ErasureReport.objects.filter(pk=report.pk)
        rows.update(**place, **(_over(report) if is_over else {"lease_until": leased_until(timezone.now())}))
    return not is_over


def _over(report: ErasureReport) -> dict[str, Any]:
    """Return what is noted at the end: keys of ours stay for a last look, whatever was made of an address does not."""
    kept = [ref for ref in report.refs if ref.isdecimal()]
    return {"state": ErasureState.DONE, "ended_at": timezone.now(), "customer_key": None, "refs": kept}


def _mine(this: Work, owner: str) -> Any:
    """Return the report, as long as it runs and this worker has it."""
    return ErasureReport.objects.filter(pk=this.report.pk, state=ErasureState.RUNNING, lease_owner=owner)


# --- What waits ------------------------------------------------------------------------------------------------------------
def ring_for_due(now: datetime | None = None) -> int:
    """Ring for erasures that are due and at which nobody works, and look again at ended ones. Returns for how many it rang."""
    look_again(now or timezone.now())
    return RUNS.ring_for_due(now)


def look_again(now: datetime) -> int:
    """Forget what was recorded while a customer was: neither transaction saw the other. Returns how many erasures are final."""
    ended = ErasureReport.objects.filter(ended_at__lt=now - LOOK_AGAIN_AFTER, alias__isnull=False)
    return sum(_look_at(report) for report in ended[:100])


def _look_at(report: ErasureReport) -> bool:
    """Look once more at one; then nothing in it leads to the customer's deliveries. Returns False where it has to wait."""
    assert report.alias is not None
    person = Person(report.merchant_id, tuple(report.refs), alias=f"{ALIAS}{report.alias.hex}")
    counts = Counter(report.counts)
    try:
        with transaction.atomic():
            for step in (erasing.withdraw, erasing.deliveries, erasing.contacts):
                cursor: str | None = ""
                while cursor is not None:
                    part = step(person, cursor)
                    counts, cursor = counts + part.counts, part.cursor
            ErasureReport.objects.filter(pk=report.pk).update(counts=dict(counts), **NOBODY)
    except Busy:
        return False
    return True
