"""The steps in which the outbox forgets a person. Each part is one short transaction; doing one twice does nothing twice.

First what names them in passing, by values that are still known; what belongs to them last. No row that is over changes its
state, reason, event or time, so every count stays what it was; what waits is withdrawn, as by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import CharField, F, Max, QuerySet, Value
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext as _
from django_q.models import Task

from events import bulk
from events.models import (
    BulkAction,
    BulkState,
    Call,
    CallbackReceipt,
    Contact,
    ContactSync,
    DeliveryAttempt,
    Engagement,
    EventDelivery,
    Suppression,
)
from events.personal import ALIAS, Busy, Part, Person, Step, of_refs
from events.states import FINAL_STATES, State
from events.verbs import CANCELLABLE, Cancel, Fate

BATCH = 500
CALLS_PER_LOOK = 5_000
NO_TEXT = {"request": "", "response": ""}
NOTHING: dict[str, Any] = {"recipient": {}, "payload": {}, "destination": "", "subject": "", "detail": ""}
OVER = [state.value for state in FINAL_STATES]


def refuse_busy(person: Person) -> None:
    """Raise Busy where a delivery of theirs, or their profile, is on its way to a provider."""
    sending = EventDelivery.objects.filter(merchant=person.merchant_id, status=State.SENDING)
    if any(rows.exists() for rows in of_refs(sending, person)):
        raise Busy
    open_calls = Call.objects.filter(integration__merchant=person.merchant_id, ended_at__isnull=True)
    if open_calls.filter(person.words.somewhere_in("request")).exists():
        raise Busy


def withdraw(person: Person, _cursor: str) -> Part:
    """Withdraw what still waits for them."""
    for rows in of_refs(EventDelivery.objects.filter(merchant=person.merchant_id, status__in=CANCELLABLE), person):
        ids = list(rows.order_by("id").values_list("id", flat=True)[:BATCH])
        if ids:
            with transaction.atomic():
                done = Cancel(ids).carry_out()
            return Part(+Counter(withdrawn=done[Fate.CANCELLED]), "")
    return Part(Counter(), None)


def others(person: Person, cursor: str) -> Part:
    """Take them out of what was sent to people who know them: a referral names both."""
    if not person.related:
        return Part(Counter(), None)
    rows = EventDelivery.objects.filter(merchant=person.merchant_id, customer_ref__in=person.related).order_by("id")
    page = list(rows.filter(id__gt=UUID(cursor))[:BATCH] if cursor else rows[:BATCH])
    named = [row for row in page if person.words.are_in([row.payload, row.recipient], close=True)]
    with transaction.atomic():
        for row in named:
            payload, recipient = person.words.taken_out([row.payload, row.recipient], close=True)
            EventDelivery.objects.filter(pk=row.pk).update(payload=payload, recipient=recipient)
        calls = _blank_calls_of([row.pk for row in named])
    return Part(+Counter(mentions=len(named), calls=calls), str(page[-1].pk) if len(page) == BATCH else None)


def calls(person: Person, cursor: str) -> Part:
    """Blank what calls hold that name them: pushes of profiles, above all, belong to no delivery."""
    mine = Call.objects.filter(integration__merchant=person.merchant_id).order_by()
    begin = int(cursor or 0)
    if not person.words or begin >= (mine.aggregate(last=Max("pk"))["last"] or 0):
        return Part(Counter(), None)
    here = mine.filter(pk__gt=begin, pk__lte=begin + CALLS_PER_LOOK).exclude(**NO_TEXT)
    done = here.filter(person.words.somewhere_in("request", "response")).update(**NO_TEXT)
    return Part(+Counter(calls=done), str(begin + CALLS_PER_LOOK))


def callbacks(person: Person, cursor: str) -> Part:
    """Delete what providers sent back that names them; what still waits is first worked on, and looked at again later."""
    mine = CallbackReceipt.objects.filter(integration__merchant=person.merchant_id).order_by()
    begin = int(cursor or 0)
    if not person.words or begin >= (mine.aggregate(last=Max("pk"))["last"] or 0):
        return Part(Counter(), None)
    here = mine.filter(pk__gt=begin, pk__lte=begin + CALLS_PER_LOOK, next_try_at__isnull=True)
    done, _of_which = here.filter(person.words.somewhere_in("body", "detail")).delete()
    return Part(+Counter(callbacks=done), str(begin + CALLS_PER_LOOK))


def traces(person: Person, _cursor: str) -> Part:
    """Take them out of what people typed and what errors quoted: filters of bulk actions, messages, logs, failed tasks."""
    counts: Counter[str] = Counter()
    if not person.words:
        return Part(counts, None)
    for action in BulkAction.objects.filter(merchant=person.merchant_id):
        if person.words.are(str(action.filter.get("search", ""))):
            if action.state == BulkState.RUNNING:
                bulk.stop(action, _("Stopped: it was about a customer who was erased."))
            values = {"filter": action.filter | {"search": ALIAS}, "fingerprint": f"{ALIAS}{action.pk}"}
            counts["traces"] += BulkAction.objects.filter(pk=action.pk).update(**values)
    syncs = ContactSync.objects.filter(integration__merchant=person.merchant_id)
    counts["traces"] += syncs.filter(person.words.somewhere_in("message")).update(message="")
    entries = LogEntry.objects.filter(person.words.somewhere_in("object_repr", "change_message"))
    named = [entry.pk for entry in entries if person.words.are_in([entry.object_repr, entry.change_message])]
    counts["log"] += LogEntry.objects.filter(pk__in=named).update(object_repr="", change_message="")
    counts["traces"] += _blank_tasks(person)
    return Part(+counts, None)


def _blank_tasks(person: Person) -> int:
    """Forget what failed tasks said of them: errors quote values. Their results are packed, so they are read one by one."""
    found = [task.pk for task in Task.objects.filter(success=False).iterator(BATCH) if person.words.are_in(str(task.result))]
    for task in Task.objects.filter(pk__in=found):
        task.result = ""
        task.save(update_fields=["result"])
    return len(found)


def deliveries(person: Person, _cursor: str) -> Part:
    """Make their deliveries anonymous, with tries, engagements and calls. Raises Busy where one is being sent."""
    rows = EventDelivery.objects.filter(merchant=person.merchant_id)
    for mine in of_refs(rows, person):
        with transaction.atomic():
            locked = mine.filter(status__in=OVER).select_for_update(no_key=True).order_by("id")
            ids = list(locked.values_list("id", flat=True)[:BATCH])
            if ids:
                return Part(_forget(ids, person.alias), "")
        if mine.exists():
            return _leftover(person, mine)
    return Part(Counter(), None)


def _leftover(person: Person, rows: QuerySet[EventDelivery]) -> Part:
    """Withdraw what was recorded meanwhile. Raises Busy for what is being sent."""
    if rows.filter(status=State.SENDING).exists():
        raise Busy
    return Part(withdraw(person, "").counts, "")


def _forget(ids: list[UUID], alias: str) -> Counter[str]:
    """Make these deliveries anonymous, in the caller's transaction."""
    blanked = _blank_calls_of(ids)
    tries = DeliveryAttempt.objects.filter(delivery__in=ids).update(error_message="")
    came = Engagement.objects.filter(delivery__in=ids)
    counts = Counter(deliveries=len(ids), attempts=tries, engagements=came.count(), calls=blanked)
    came.exclude(once="").update(once=_nameless("pk"))
    EventDelivery.objects.filter(pk__in=ids).update(**NOTHING, customer_ref=alias, idempotency_key=_nameless("id"))
    return +counts


def _nameless(key: str) -> Concat:
    """Return what stands for a key that may name somebody: as unique as the row's own."""
    return Concat(Value(ALIAS), Cast(F(key), CharField()))


def _blank_calls_of(ids: Iterable[UUID]) -> int:
    """Blank requests and answers of the calls that carried these deliveries, whoever else was in them. Returns how many."""
    ids = list(ids)
    tried = DeliveryAttempt.objects.filter(delivery__in=ids, call__isnull=False).values_list("call", flat=True)
    last = EventDelivery.objects.filter(pk__in=ids, call__isnull=False).values_list("call", flat=True)
    keys = {*tried, *last}
    return Call.objects.filter(pk__in=keys).exclude(**NO_TEXT).update(**NO_TEXT) if keys else 0


def contacts(person: Person, _cursor: str) -> Part:
    """Delete what is known of them at providers, and that they are not to be written to."""
    known = Contact.objects.filter(integration__merchant=person.merchant_id)
    unwanted = Suppression.objects.filter(merchant=person.merchant_id)
    counts: Counter[str] = Counter()
    for kind, rows in (("contacts", known), ("suppressions", unwanted)):
        counts[kind] = sum(mine.delete()[0] for mine in of_refs(rows, person))
    return Part(+counts, None)


STEPS: tuple[Step, ...] = (withdraw, others, calls, callbacks, traces, deliveries, contacts)
