"""A drain: sends what is due over one integration, until nothing is or its turn is over, and rings again if there is more.

No transaction is open while a request is under way. Large calls go in waves, small ones in a stream.
"""

from __future__ import annotations

import logging

from django.utils import timezone

from events import bell, breaker, checkpoints, memory, staleness
from events.lookups import IS_DUE
from events.models import EventDelivery
from events.pause import needs_attention
from events.stamping import LeaseLost, is_left_alone
from events.stream import Stream
from events.turns import place
from events.waves import Waves
from integrations.fields import SecretUnreadable
from integrations.hygiene import about
from integrations.models import Integration, Status
from integrations.verification import unreadable

logger = logging.getLogger(__name__)
LARGE = 1_000  # deliveries: after so many what they took is worth giving back


def sender_of(integration: Integration) -> Waves | Stream:
    """Return what sends over this integration. Raises SecretUnreadable."""
    contract, account = integration.contract, integration.account()
    small = contract.limits.records_per_call == 1 or contract.identify_first
    return Stream(integration, account) if small else Waves(integration, account)


def _is_callable(work: Waves | Stream) -> bool:
    """Tell whether the settings lead to an address of the provider's; if not, a person is told and the queue is held."""
    refused = work.contract.refuse_settings(work.account)
    if refused is not None:
        needs_attention(work.integration, refused.reason, refused.fix)
    return refused is None


def more_is_due(integration_id: int) -> bool:
    """Tell whether deliveries of this integration are due now."""
    now = timezone.now()
    rows = EventDelivery.objects.filter(IS_DUE, integration_id=integration_id, next_attempt_at__lte=now)
    return rows.exclude(expires_at__lte=now).exists()


def drain(integration_id: int, token: int | None = None) -> int:
    """Empty one integration's queue. Safe to run twice, at the same time, or for nothing. Returns deliveries handled.

    `token`: of the bell that asks for it. Where another drain has come since, it does nothing.
    """
    integration = Integration.objects.select_related("merchant").filter(pk=integration_id).first()
    if integration is None or (token is not None and integration.bell_token != token):
        return 0
    work = _ready(integration)
    if work is None:
        bell.clear(integration_id)
        return 0
    staleness.expire(timezone.now(), integration_id)
    try:
        # With a rate, one at a time: its gate sees every call, and lets none leave late into another's moment.
        with place(integration, is_single=work.allowance.per_second is not None) as work.place:
            if work.place is None:  # the bell stays as it is: who has the places finds it rung, and looks again
                return 0
            bell.clear(integration_id)
            with checkpoints.beside():
                handled = _sent_by(work)
    except LeaseLost as lost:  # a disconnect took them away, or we were too slow: nothing of it has left
        logger.warning("A drain of integration %s ends early: %s.", integration_id, lost, extra=about(integration_id))
        look_again(integration_id)
        return 0
    if handled >= LARGE:
        memory.give_back()
    if work.gave_way:
        return handled
    look_again(integration_id, bool(handled), work.stopped)
    return handled


def look_again(integration_id: int, has_handled: bool = False, was_stopped: bool = False) -> None:
    """Ring for what is due after a place was given back: who came meanwhile and found none has left that to us."""
    was_rung = bell.hush(integration_id)
    if not was_stopped and (has_handled or was_rung) and more_is_due(integration_id):
        bell.ring(integration_id)


def _ready(integration: Integration) -> Waves | Stream | None:
    """Return what sends over this integration; None where nothing may be sent, or a person must put something right first."""
    if not integration.enabled or integration.status != Status.ACTIVE:
        return None
    if is_left_alone(integration, is_probe=True):
        return None
    try:
        work = sender_of(integration)
    except SecretUnreadable:
        checked = unreadable()
        needs_attention(integration, checked.reason, checked.fix)
        return None
    return work if _is_callable(work) else None


def _sent_by(work: Waves | Stream) -> int:
    """Send what is due; through a half-open breaker first one delivery, and the rest once that was answered."""
    if breaker.state(work.integration) is breaker.State.CLOSED:
        return work.run()
    with breaker.probe(work.integration) as is_ours:
        handled = work.probe() if is_ours else 0
    if breaker.state(work.integration) is breaker.State.CLOSED and not work.stopped:
        return work.run() or handled
    return handled


def send_now(delivery: EventDelivery) -> None:
    """Send one queued delivery in this process and write down what came of it. Nothing happens where it is no longer due.

    For a person who waits for the answer: a test event. Raises SecretUnreadable.
    """
    integration = Integration.objects.select_related("merchant").get(pk=delivery.integration_id)
    work = sender_of(integration)
    if not _is_callable(work):
        pass
    elif breaker.state(work.integration) is breaker.State.CLOSED:
        work.send_these([str(delivery.pk)])
    else:
        with breaker.probe(work.integration) as is_ours, work.probing():
            if is_ours:
                work.send_these([str(delivery.pk)])
    delivery.refresh_from_db()
