"""What a person may do to deliveries: retry, cancel, and replay (`events.replay`), one or many at a time.

Each verb is a plan, made outside of a transaction since it asks the host about the customers, and carried out inside one.
What has changed in between is left alone, so whoever comes second changes nothing. Integrations are not locked: a queue
that no longer fits its integration's state is put right by the sweep (`sweep.align_queues`) within seconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events import tallies
from events.bell import ring_after_commit
from events.models import EventDelivery
from events.routes import SENDABLE
from events.staleness import worth_anew
from events.standing import Standing, standings
from events.states import Reason, State
from events.statistics import disturb_all
from integrations.models import Status

RETRYABLE = (State.FAILED, State.CANCELLED)
CANCELLABLE = (State.QUEUED, State.RETRYING, State.HELD)
WAITING = (State.QUEUED, State.SENDING, State.RETRYING, State.HELD)


class Fate(models.TextChoices):
    """What became of one delivery on which somebody acted."""

    QUEUED = "queued", _("back in the queue")
    HELD = "held", _("held until the integration can send again")
    CANCELLED = "cancelled", _("withdrawn")
    NO_CONSENT = "no_consent", _("not sent: the customer unsubscribed")
    SUPPRESSED = "suppressed", _("not sent: the customer unsubscribed or complained after a message")
    NO_IDENTITY = "no_identity", _("not sent: the customer has no value for the common property")
    WRONG_STATE = "wrong_state", _("not touched: the state does not allow it, or has changed meanwhile")
    DISCONNECTED = "disconnected", _("not touched: the integration is not connected. Connect it, then send again")
    SWITCHED_OFF = "switched_off", _("not touched: the event is switched off. Switch it on, then send again")
    UNINSTALLED = "uninstalled", _("not touched: the provider is no longer installed")
    BY_DESIGN = "by_design", _("not touched: left out on purpose, by the event's own rules")
    HELD_OUT = "held_out", _("not touched: the customer is held out, so that what the event is worth can be read")
    NO_CONTENT = "no_content", _("not touched: what it carried is no longer kept")
    REPLAYED = "replayed", _("not touched: a replay of it waits, or has been sent")


TOUCHED = (Fate.QUEUED, Fate.HELD, Fate.CANCELLED)
SKIPPED = {Fate.NO_CONSENT: Reason.NO_CONSENT, Fate.SUPPRESSED: Reason.SUPPRESSED, Fate.NO_IDENTITY: Reason.NO_IDENTITY}
AGAIN: dict[str, Any] = {"detail": "", "failure_count": 0, "uncertain_count": 0, "first_failed_at": None}


class Plan(Protocol):
    """What is about to happen to some deliveries."""

    @property
    def integrations(self) -> Collection[int]:
        """Return the integrations into whose queues it puts something."""

    def carry_out(self) -> Counter[str]:
        """Do it, inside a transaction. Returns how many deliveries met which fate: as many as were named."""


class Cancel:
    """Withdraws deliveries that have not left."""

    integrations: Collection[int] = ()

    def __init__(self, ids: Sequence[UUID], _token: str = "") -> None:
        """Plan to withdraw these."""
        self.ids = ids

    def carry_out(self) -> Counter[str]:
        """Withdraw what still waits."""
        waiting = EventDelivery.objects.filter(pk__in=self.ids, status__in=CANCELLABLE)
        disturb_all(waiting.filter(status=State.HELD).values_list("integration", "id"))
        done = waiting.update(status=State.CANCELLED, next_attempt_at=None)
        return +Counter({str(Fate.CANCELLED): done, str(Fate.WRONG_STATE): len(self.ids) - done})


class Retry:
    """Puts failed or cancelled deliveries back into the queue with a fresh budget of tries; their history stays."""

    def __init__(self, ids: Sequence[UUID], _token: str = "") -> None:
        """Read these deliveries and ask the host how their customers stand."""
        self.ids = ids
        rows = EventDelivery.objects.filter(pk__in=ids, status__in=RETRYABLE).select_related("integration", "definition")
        self.rows = {row.pk: row for row in rows.order_by("pk")}
        self.fates, self.standings = judge(list(self.rows.values()), waits=True)
        self.held_out = EventDelivery.objects.filter(pk__in=ids, status=State.SKIPPED, reason=Reason.HOLDOUT).count()
        self.integrations = queues(self.rows.values(), self.fates)

    def carry_out(self) -> Counter[str]:
        """Update them by fate: a handful of statements."""
        locked = set(lock(self.rows, RETRYABLE))
        disturb_all((self.rows[key].integration_id, key) for key in locked)
        replayed = replays_of(locked, (*WAITING, State.SENT))
        fates = {key: Fate.REPLAYED if key in replayed else self.fates[key] for key in locked}
        by_fate: dict[str, list[UUID]] = defaultdict(list)
        for key, fate in fates.items():
            by_fate[fate].append(key)
        for fate, keys in by_fate.items():
            self._update(fate, EventDelivery.objects.filter(pk__in=keys))
        tallies.add_skipped(
            (self.rows[key].integration_id, SKIPPED[Fate(fate)]) for key, fate in fates.items() if fate in SKIPPED
        )
        going = [key for key, fate in fates.items() if fate in TOUCHED]
        self._correct(going)
        self._limit_anew(going)
        ring_for(row.integration_id for key, row in self.rows.items() if fates.get(key) == Fate.QUEUED)
        counts = Counter(str(fate) for fate in fates.values())
        counts[Fate.HELD_OUT] += self.held_out
        counts[Fate.WRONG_STATE] += len(self.ids) - len(fates) - self.held_out
        return +counts

    def _update(self, fate: str, rows: models.QuerySet[EventDelivery]) -> None:
        """Write down what becomes of these rows."""
        if fate in (Fate.QUEUED, Fate.HELD):
            state = State.QUEUED if fate == Fate.QUEUED else State.HELD
            rows.update(**AGAIN, status=state, reason="", next_attempt_at=timezone.now())
        elif fate in SKIPPED:
            rows.update(**AGAIN, status=State.SKIPPED, reason=SKIPPED[Fate(fate)], next_attempt_at=None)

    def _correct(self, keys: Iterable[UUID]) -> None:
        """Address those whose customer has changed as the customer is known now. What they carry stays."""
        changed = [row for key in keys if (row := self.rows[key]).recipient != self.standings[key].recipient]
        for row in changed:
            row.recipient = self.standings[row.pk].recipient
        if changed:
            EventDelivery.objects.bulk_update(changed, ["recipient"])

    def _limit_anew(self, keys: Iterable[UUID]) -> None:
        """Give those that are worth sending only for a while their moment anew: the event's own limit counts from now."""
        now, changed = timezone.now(), []
        for row in (self.rows[key] for key in keys):
            moment = worth_anew(row, now)
            if moment != row.expires_at:
                row.expires_at = moment
                changed.append(row)
        if changed:
            EventDelivery.objects.bulk_update(changed, ["expires_at"])


# --- What the verbs share ------------------------------------------------------------------------------------------------
def judge(rows: Sequence[EventDelivery], waits: bool = False) -> tuple[dict[UUID, str], dict[UUID, Standing]]:
    """Return what would become of these deliveries if they were sent again, and how their customers stand.

    Integrations and definitions must be loaded. `waits`: they may be held until a disconnected integration is connected anew.
    """
    fates: dict[UUID, str] = {row.pk: obstacle(row, waits) for row in rows}
    found = standings([row for row in rows if not fates[row.pk]])
    for row in rows:
        if not fates[row.pk]:
            flows = row.integration.status in SENDABLE and row.integration.enabled
            goes = Fate.QUEUED if flows else Fate.HELD
            fates[row.pk] = found[row.pk].reason or goes
    return fates, found


def obstacle(row: EventDelivery, waits: bool = False) -> str:
    """Return why this delivery cannot be sent again whoever the customer is, as a `Fate`; an empty text where it can."""
    integration = row.integration
    try:
        integration.contract  # noqa: B018 - is the provider still installed?
    except KeyError:
        return Fate.UNINSTALLED
    if not waits and (integration.status == Status.DRAFT or not integration.enabled):
        return Fate.DISCONNECTED
    if not row.definition.enabled and not row.is_test:  # a test is sent also of an event that is not switched on yet
        return Fate.SWITCHED_OFF
    return "" if row.payload else Fate.NO_CONTENT


def lock(keys: Collection[UUID], states: Collection[str]) -> list[UUID]:
    """Lock those of these rows that are in one of these states, until the transaction ends: retry and replay take turns."""
    rows = EventDelivery.objects.select_for_update(no_key=True).filter(pk__in=list(keys), status__in=states)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def replays_of(keys: Collection[UUID], states: Collection[str]) -> set[UUID]:
    """Return which of these have a replay in one of these states."""
    replays = EventDelivery.objects.filter(replay_of__in=list(keys), status__in=states)
    return set(replays.order_by().values_list("replay_of_id", flat=True))


def queues(rows: Iterable[EventDelivery], fates: dict[UUID, str]) -> set[int]:
    """Return the integrations whose queues grow."""
    return {row.integration_id for row in rows if fates.get(row.pk) == Fate.QUEUED}


def ring_for(integrations: Iterable[int]) -> None:
    """Ring for these integrations once the transaction is committed."""
    for integration_id in sorted(set(integrations)):
        ring_after_commit(integration_id)


def touched(counts: Mapping[str, int]) -> int:
    """Return on how many deliveries a verb did what was asked."""
    return sum(counts.get(fate, 0) for fate in TOUCHED)


# --- One delivery, or a few ----------------------------------------------------------------------------------------------
def retry_these(ids: Sequence[UUID]) -> Counter[str]:
    """Retry these deliveries in one transaction: some dozens. Returns how many met which `Fate`."""
    plan = Retry(ids)
    with transaction.atomic():
        return plan.carry_out()


def cancel_these(ids: Sequence[UUID]) -> Counter[str]:
    """Withdraw these deliveries. Returns how many met which `Fate`."""
    return Cancel(ids).carry_out()


def retry(delivery: EventDelivery) -> bool:
    """Put a failed or cancelled delivery back into the queue with a fresh budget of tries; its history stays.

    Where the integration is paused or needs attention, it is held until it can send. Returns False where nothing is to be
    sent: `retry_these` says why.
    """
    return touched(retry_these([delivery.pk])) > 0


def cancel(delivery: EventDelivery) -> bool:
    """Withdraw a delivery that has not left. Returns False where it is being sent, or is over, already."""
    return bool(cancel_these([delivery.pk])[Fate.CANCELLED])
