"""What providers sent back: stored once, worked on later, each item tied to its delivery or counted as not.

An item is tied by our own delivery id, or else to the only delivery that its customer got over this integration in the week
before: where several fit, none is taken. What is tied becomes an engagement, inserted once; a no also becomes the customer's
consent. One body is one transaction, under its row's lock: worked on twice, it does nothing twice.
"""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from events import bell, closing, engaging, suppression
from events.lookups import RecipientCustomerId, RecipientEmail, over
from events.models import CallbackReceipt, CallbackState, Engagement, EventDelivery
from events.sql import hot_cursor, in_parts, moment
from events.states import State
from integrations.models import Integration
from integrations.providers.callbacks import NOTHING, UNKNOWN, CallbackItem, Unreadable, read_body

logger = logging.getLogger(__name__)
# One statement and one commit: the provider waits for it.
STORE = """
    INSERT INTO events_callbackreceipt (integration_id, kind, digest, content_type, body, received_at, next_try_at,
                                        state, detail, tries, matched, unmatched, unknown, ignored)
    VALUES (%s, %s, %s, %s, %s, %s, %s, 'waiting', '', 0, 0, 0, 0, 0) ON CONFLICT (integration_id, kind, digest) DO NOTHING
"""
TASK = "events.tasks.work_on_callbacks"
WHOSE = "the callbacks of integration"
REPEATED_WITHIN = timedelta(hours=24)  # the same body later is another happening: some have neither id nor time
WINDOW = timedelta(days=7)  # between what was sent and what came back, where only the customer is known
SLACK = timedelta(minutes=5)  # clocks differ
RING_SECONDS = 1.0  # a process asks no more often than that for the same integration; a sweep asks for what is left
TURN_SECONDS = 2.0
AT_A_TIME = 50
AGAIN_AFTER = (5, 60, 600)  # seconds, after our own code failed
KEYS_AT_A_TIME = 500
_rung: dict[int, float] = {}


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery that an item may be about."""

    pk: uuid.UUID
    customer_ref: str
    event_name: str
    sent_at: datetime | None
    people: frozenset[str]


def store(integration: Integration, kind: str, raw: bytes, content_type: str, digest: str) -> bool:
    """Keep a body and ask for somebody to work on it. Returns False for one that is here already. Raises DatabaseError."""
    body = raw.decode(errors="replace").replace("\x00", "")
    now = moment(timezone.now())
    with hot_cursor(connection) as cursor:
        cursor.execute(STORE, [integration.pk, kind, digest, content_type[:100], body, now, now])
        is_new = bool(cursor.rowcount)
    if not is_new:
        same = CallbackReceipt.objects.filter(integration=integration, kind=kind, digest=digest, next_try_at__isnull=True)
        old = same.filter(received_at__lt=timezone.now() - REPEATED_WITHIN)
        anew = {"state": CallbackState.WAITING, "tries": 0, "detail": ""}
        if not old.update(received_at=timezone.now(), next_try_at=timezone.now(), **anew):
            return False
    bell.after_commit(ring, integration.pk, WHOSE)
    return True


def ring(integration_id: int) -> bool:
    """Ask for work on an integration's callbacks, unless this process just did."""
    now = time.monotonic()
    if now - _rung.get(integration_id, float("-inf")) < RING_SECONDS:
        return False
    _rung[integration_id] = now
    return bell.ask(TASK, integration_id)


def ring_for_due() -> int:
    """Ask for work on whatever waits: what a worker's sweep does. Returns for how many integrations."""
    due = CallbackReceipt.objects.filter(next_try_at__lte=timezone.now()).order_by().values_list("integration", flat=True)
    return sum(bell.ask(TASK, pk) for pk in sorted(set(due[:1000])))


def over_before(before: datetime) -> QuerySet[CallbackReceipt]:
    """Return callbacks that came before that moment and do not wait for anything."""
    return CallbackReceipt.objects.filter(received_at__lt=before, next_try_at__isnull=True).order_by("received_at")


def run_again(receipts: QuerySet[CallbackReceipt]) -> int:
    """Have these worked on once more; what they did already they do not do twice. Returns how many."""
    integrations = set(receipts.order_by().values_list("integration", flat=True))
    count = receipts.update(state=CallbackState.WAITING, tries=0, next_try_at=timezone.now(), detail="")
    for pk in integrations:
        bell.after_commit(ring, pk, WHOSE)
    return int(count)


def work(integration_id: int) -> int:
    """Work on what waits, until nothing does or the turn is over. Returns how many bodies."""
    ends, count = time.monotonic() + TURN_SECONDS, 0
    while time.monotonic() < ends and not closing.is_closing():
        due = CallbackReceipt.objects.filter(integration=integration_id, next_try_at__lte=timezone.now()).order_by("pk")
        keys = list(due.values_list("pk", flat=True)[:AT_A_TIME])
        if not keys:
            return count
        for pk in keys:
            count += _work_on(pk)
            if time.monotonic() >= ends or closing.is_closing():
                break
    bell.ask(TASK, integration_id)
    return count


def _work_on(pk: int) -> int:
    """Work on one body. Its try is counted before, so that one that kills its worker is not tried for ever."""
    receipt = CallbackReceipt.objects.select_related("integration").get(pk=pk)
    row = CallbackReceipt.objects.filter(pk=pk, tries=receipt.tries, next_try_at__isnull=False)
    if receipt.tries >= len(AGAIN_AFTER):
        row.update(state=CallbackState.FAILED, next_try_at=None, detail=_("It failed again and again; that was logged."))
        return 0
    again = timezone.now() + timedelta(seconds=AGAIN_AFTER[receipt.tries])
    if not row.update(tries=receipt.tries + 1, next_try_at=again):
        return 0  # somebody else just took it
    try:
        _apply(receipt)
    except (OperationalError, InterfaceError):
        raise  # the database went away: it is tried again
    except Exception as error:  # the worker's edge: our own code failed on it, which must not stop the others
        logger.exception("Callback %s could not be worked on.", pk)
        words = _("Our own code failed on it (%(error)s); that was logged.") % {"error": type(error).__name__}
        CallbackReceipt.objects.filter(pk=pk).update(detail=words)
    return 1


def _apply(receipt: CallbackReceipt) -> None:
    """Write what the body says, and that it was done, in one transaction."""
    items, detail = _items_of(receipt)
    with transaction.atomic():
        waiting = CallbackReceipt.objects.select_for_update().filter(pk=receipt.pk, next_try_at__isnull=False)
        if not waiting.exists():
            return
        counts = _write(receipt, items)
        state = CallbackState.FAILED if detail else CallbackState.DONE
        detail = detail or (_("A test of the provider's: it works.") if _is_test(items) else "")
        CallbackReceipt.objects.filter(pk=receipt.pk).update(next_try_at=None, state=state, detail=detail, **counts)


def _items_of(receipt: CallbackReceipt) -> tuple[list[CallbackItem], str]:
    """Return what a stored body says, or nothing and why."""
    try:
        contract = receipt.integration.contract
    except KeyError:
        return [], _("The provider is no longer installed.")
    try:
        body = read_body(receipt.body.encode(errors="replace"), receipt.content_type)
    except Unreadable as error:
        return [], str(error)
    return list(contract.parse_callback(receipt.kind, body)), ""


def _is_test(items: Sequence[CallbackItem]) -> bool:
    """Tell whether this is no more than the test that a provider makes when its webhook is saved."""
    return len(items) == 1 and items[0].word == "is_test"


def _write(receipt: CallbackReceipt, items: Sequence[CallbackItem]) -> dict[str, int]:
    """Tie items to their deliveries and write them down. Returns how many of each fate."""
    integration, counts, came = receipt.integration, Counter[str](), []
    channels: dict[str, str] = {}
    told = [item for item in items if item.kind != NOTHING]
    counts["ignored"] = len(items) - len(told)
    found = _Matcher(integration, told)
    for item in told:
        sent, at = found.delivery_of(item), min(item.occurred_at or receipt.received_at, timezone.now())
        counts["unknown"] += item.kind == UNKNOWN
        if sent is not None:
            counts["matched"] += 1
            once = _once(receipt, item, sent)
            came.append(engaging.Came(sent.pk, item.kind, integration.provider, at, item.is_machine, once))
            channels[once] = item.channel
        else:
            counts["unmatched"] += 1
            if item.kind in suppression.UNWANTED and (ref := found.customer_of(item)):
                suppression.said_no(integration, ref, item.kind, integration.provider, at, item.channel)
    _take_in(came, channels)
    return {name: counts[name] for name in ("matched", "unmatched", "unknown", "ignored")}


def _take_in(came: Sequence[engaging.Came], channels: Mapping[str, str]) -> None:
    """Write engagements down; of those that are a no and new, also what follows from it."""
    noes = [item for item in came if item.kind in suppression.UNWANTED]
    written = Engagement.objects.filter(once__in=[item.once for item in noes])
    known = set(written.values_list("once", flat=True)) if noes else set()
    engaging.write([item for item in came if item.kind not in suppression.UNWANTED])
    deliveries = EventDelivery.objects.select_related("integration").in_bulk({item.delivery_id for item in noes})
    for item in noes:
        if item.once not in known:
            known.add(item.once)
            delivery = deliveries[item.delivery_id]
            channel = channels[item.once]
            suppression.came_back(delivery, item.kind, item.source, item.occurred_at, item.is_machine, item.once, channel)


def _once(receipt: CallbackReceipt, item: CallbackItem, sent: Sent) -> str:
    """Return what names this happening: the provider's own id of it; without one, its moment, or when it was first told."""
    when = item.once or (item.occurred_at or receipt.received_at).isoformat()
    parts = (str(receipt.integration_id), item.kind, "" if item.once else str(sent.pk), when)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class _Matcher:
    """Finds the deliveries of many items in a few statements."""

    def __init__(self, integration: Integration, items: Sequence[CallbackItem]) -> None:
        """Look up what all of these name."""
        self.rows = EventDelivery.objects.filter(integration=integration).order_by()
        self.names = {name.lower() for name in integration.definitions.values_list("name", flat=True) if name}
        self.by_id = self._named({key for item in items if (key := _uuid(item.delivery_id))})
        others = [item for item in items if _uuid(item.delivery_id) not in self.by_id]
        self.by_person = self._of_people({person for item in others for person in item.people})

    def delivery_of(self, item: CallbackItem) -> Sent | None:
        """Return the delivery that an item is about, where there is no doubt."""
        key = _uuid(item.delivery_id)
        if key is not None:  # one of another integration, or none at all, is not guessed at
            return self.by_id.get(key)
        if item.is_foreign:
            return None
        at = item.occurred_at or timezone.now()
        fits = {sent.pk: sent for sent in self._sent_to(item) if sent.sent_at and at - WINDOW <= sent.sent_at <= at + SLACK}
        left, campaign = list(fits.values()), item.campaign.lower()
        if campaign in self.names | {sent.event_name.lower() for sent in left}:  # named after an event: it is about that one
            left = [sent for sent in left if sent.event_name.lower() == campaign]
        return left[0] if len(left) == 1 else None

    def customer_of(self, item: CallbackItem) -> str:
        """Return whose item this is, where all that was ever sent to them says the same."""
        refs = {sent.customer_ref for sent in self._sent_to(item)}
        return refs.pop() if len(refs) == 1 else ""

    def _sent_to(self, item: CallbackItem) -> list[Sent]:
        """Return what was sent to whom an item names."""
        return [sent for person in item.people for sent in self.by_person.get(person, ())]

    def _named(self, keys: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Sent]:
        """Return the deliveries with these ids."""
        found: dict[uuid.UUID, Sent] = {}
        for part in in_parts(map(str, keys), KEYS_AT_A_TIME):
            found |= {sent.pk: sent for sent in _read(self.rows.filter(pk__in=part))}
        return found

    def _of_people(self, people: Collection[str]) -> Mapping[str, list[Sent]]:
        """Return what was sent to people with these emails, customer ids or phones."""
        found: dict[str, list[Sent]] = {}
        sent = over(self.rows.filter(status=State.SENT, is_test=False))
        for part in in_parts(people, KEYS_AT_A_TIME):
            lower, upper = [person.lower() for person in part], [person.upper() for person in part]
            rows = [
                *_read(sent.alias(address=RecipientEmail("recipient")).filter(address__in=lower)),
                *_read(sent.alias(own_id=RecipientCustomerId("recipient")).filter(own_id__in={*part, *lower, *upper})),
            ]
            whose: dict[str, dict[uuid.UUID, Sent]] = {}
            for row in rows:
                for name in {*row.people, *(person.lower() for person in row.people)}:
                    whose.setdefault(name, {})[row.pk] = row
            for person in part:  # as it is written, if anybody is called so
                found[person] = list((whose.get(person) or whose.get(person.lower()) or {}).values())
        return found


def _read(rows: QuerySet[EventDelivery]) -> Iterable[Sent]:
    """Return deliveries as far as matching needs them."""
    columns = ("pk", "customer_ref", "event_name", "sent_at", "recipient")
    for pk, ref, name, sent_at, recipient in rows.values_list(*columns):
        person = recipient if isinstance(recipient, dict) else {}
        people = {str(person[key]) for key in ("customer_id", "phone") if person.get(key)}
        people |= {address for address in [str(person.get("email") or "").lower()] if address}
        yield Sent(pk, ref, name, sent_at, frozenset(people))  # never the host's own reference: it may be another's customer ID


def _uuid(text: str) -> uuid.UUID | None:
    """Return the id in a text, or None."""
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None
