"""What providers sent back: stored once, worked on later, each item tied to its delivery or counted as not.

An item is tied by our own delivery id, or else to the only delivery that its customer got over this integration in the week
before: where several fit, none is taken. What is tied becomes an engagement, inserted once; a no also becomes the customer's
consent. One body is one transaction, under its row's lock: worked on twice, it does nothing twice.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from events import bell, closing, engaging, suppression
from events.callback_matching import Matcher, Sent
from events.desk import Desk
from events.models import CallbackReceipt, CallbackState, Engagement
from events.receipts import CannotBeUsed, Receipts
from events.sql import moment
from integrations.providers.callbacks import NOTHING, UNKNOWN, CallbackItem, Unreadable, read_body

# One statement and one commit for all who wait: the provider waits for it.
STORE = """
    INSERT INTO events_callbackreceipt (integration_id, kind, digest, content_type, body, received_at, next_try_at,
                                        state, detail, tries, matched, unmatched, unknown, ignored)
    VALUES {rows} ON CONFLICT (integration_id, kind, digest) DO NOTHING RETURNING integration_id, kind, digest
"""
ROW = "(%s, %s, %s, %s, %s, %s, %s, 'waiting', '', 0, 0, 0, 0, 0)"
TASK = "events.tasks.work_on_callbacks"
WHOSE = "the callbacks of integration"
REPEATED_WITHIN = timedelta(hours=24)  # the same body later is another happening: some have neither id nor time
RING_SECONDS = 1.0  # a process asks no more often than that for the same integration; a sweep asks for what is left
TURN_SECONDS = 2.0
AT_A_TIME = 50
_rung: dict[int, float] = {}


@dataclass(frozen=True, slots=True)
class Body:
    """What came in at the door of an integration."""

    integration_id: int
    kind: str
    digest: str
    content_type: str
    text: str

    @property
    def key(self) -> tuple[int, str, str]:
        """Return what makes it the same as another."""
        return self.integration_id, self.kind, self.digest


def _store(bodies: Sequence[Body]) -> list[bool]:
    """Insert these and ask for somebody to work on them; tell of each whether it was not here before."""
    now = moment(timezone.now())
    rows = [(*body.key, body.content_type, body.text, now, now) for body in bodies]
    return RECEIPTS.insert(STORE, ROW, rows, [body.key for body in bodies])


DESK: Desk[Body, bool] = Desk(_store)


def store(integration_id: int, kind: str, raw: bytes, content_type: str, digest: str) -> bool:
    """Keep a body and ask for somebody to work on it. Returns False for one that is here already. Raises DatabaseError."""
    text = raw.decode(errors="replace").replace("\x00", "")
    is_new = DESK.hand_in(Body(integration_id, kind, digest, content_type[:100], text))
    if not is_new:
        same = CallbackReceipt.objects.filter(integration=integration_id, kind=kind, digest=digest, next_try_at__isnull=True)
        old = same.filter(received_at__lt=timezone.now() - REPEATED_WITHIN)
        anew = {"state": CallbackState.WAITING, "tries": 0, "detail": ""}
        if not old.update(received_at=timezone.now(), next_try_at=timezone.now(), **anew):
            return False
        bell.after_commit(ring, integration_id, WHOSE)
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


def work(integration_id: int) -> int:
    """Work on what waits, until nothing does or the turn is over. Returns how many bodies."""
    ends, count = time.monotonic() + TURN_SECONDS, 0
    while time.monotonic() < ends and not closing.is_closing():
        keys = RECEIPTS.due(integration_id, AT_A_TIME)
        if not keys:
            return count
        for pk in keys:
            count += RECEIPTS.work_on(pk)
            if time.monotonic() >= ends or closing.is_closing():
                break
    bell.ask(TASK, integration_id)
    return count


def _apply(receipt: CallbackReceipt) -> None:
    """Write what the body says, and that it was done, in one transaction. Raises CannotBeUsed."""
    items = _items_of(receipt)
    with transaction.atomic():
        waiting = CallbackReceipt.objects.select_for_update().filter(pk=receipt.pk, next_try_at__isnull=False)
        if not waiting.exists():
            return
        counts = _write(receipt, items)
        detail = _("A test of the provider's: it works.") if _is_test(items) else ""
        CallbackReceipt.objects.filter(pk=receipt.pk).update(next_try_at=None, state=CallbackState.DONE, detail=detail, **counts)


def _items_of(receipt: CallbackReceipt) -> list[CallbackItem]:
    """Return what a stored body says. Raises CannotBeUsed."""
    try:
        contract = receipt.integration.contract
    except KeyError:
        raise CannotBeUsed(_("The provider is no longer installed.")) from None
    try:
        body = read_body(receipt.body.encode(errors="replace"), receipt.content_type)
    except Unreadable as error:
        raise CannotBeUsed(str(error)) from None
    return list(contract.parse_callback(receipt.kind, body))


RECEIPTS = Receipts(
    CallbackReceipt,
    owner="integration",
    whose=WHOSE,
    ring=ring,
    apply=_apply,
    waiting=CallbackState.WAITING,
    failed=CallbackState.FAILED,
    again_after=(5, 60),
)


def _is_test(items: Sequence[CallbackItem]) -> bool:
    """Tell whether this is no more than the test that a provider makes when its webhook is saved."""
    return len(items) == 1 and items[0].word == "is_test"


def _write(receipt: CallbackReceipt, items: Sequence[CallbackItem]) -> dict[str, int]:
    """Tie items to their deliveries and write them down. Returns how many of each fate."""
    integration, counts, came = receipt.integration, Counter[str](), []
    noes: list[suppression.No] = []
    said: dict[str, suppression.No] = {}  # by what names it: it may be known already
    told = [item for item in items if item.kind != NOTHING]
    counts["ignored"] = len(items) - len(told)
    found = Matcher(integration, told)
    for item in told:
        sent, at = found.delivery_of(item), min(item.occurred_at or receipt.received_at, timezone.now())
        counts["unknown"] += item.kind == UNKNOWN
        ref = sent.customer_ref if sent else found.customer_of(item)
        no = suppression.No(ref, item.kind, integration.provider, at, item.channel)
        is_no = item.kind in suppression.UNWANTED and not item.is_machine and bool(ref)  # a mail filter's has no consequences
        if sent is None:
            counts["unmatched"] += 1
            noes += [no] * is_no
            continue
        counts["matched"] += 1
        once = _once(receipt, item, sent)
        came.append(engaging.Came(sent.pk, item.kind, integration.provider, at, item.is_machine, once))
        if is_no:
            said.setdefault(once, no)
    known = set(Engagement.objects.filter(once__in=said).values_list("once", flat=True)) if said else set()
    engaging.write(came)
    if noes := noes + [no for once, no in said.items() if once not in known]:
        suppression.said_no(integration, noes)
    return {name: counts[name] for name in ("matched", "unmatched", "unknown", "ignored")}


def _once(receipt: CallbackReceipt, item: CallbackItem, sent: Sent) -> str:
    """Return what names this happening: the provider's own id of it; without one, its moment, or when it was first told."""
    when = item.once or (item.occurred_at or receipt.received_at).isoformat()
    parts = (str(receipt.integration_id), item.kind, "" if item.once else str(sent.pk), when)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
