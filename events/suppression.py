"""Who said no: what comes back from a provider, and what it does to what still waits for the same customer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from events.host import Consent, ConsentNews, get_host
from events.models import Engagement, EventDelivery, Suppression
from events.skipping import Why, skip_waiting
from events.sql import in_parts
from events.states import DUE_STATES, ConsentPolicy, EngagementKind, Reason, State
from integrations.models import Integration
from integrations.providers import channel_of

UNWANTED = (EngagementKind.UNSUBSCRIBE, EngagementKind.COMPLAINT)
WAITING = (*DUE_STATES, State.HELD)
REFS_AT_A_TIME = 500
LOOKED_BACK = timedelta(minutes=2)  # longer than a transaction that records takes


@dataclass(frozen=True, slots=True)
class No:
    """What a provider says a customer did not want any more. `kind` is one of `UNWANTED`; `channel` empty: not told."""

    ref: str
    kind: str
    source: str
    occurred_at: datetime
    channel: str = ""


def came_back(
    delivery: EventDelivery,
    kind: str,
    source: str,
    occurred_at: datetime,
    is_machine: bool = False,
    once: str = "",
    channel: str = "",
) -> None:
    """Write down that the customer of this delivery unsubscribed or complained, and stop what waits for them.

    The host keeps it as their consent, on the provider's channel or on all. A complaint also suppresses them here, and so does an
    unsubscribe that no host keeps. What a mail filter did is written down and has no consequences.
    """
    with transaction.atomic():
        Engagement.objects.create(
            delivery=delivery, kind=kind, source=source, occurred_at=occurred_at, is_machine=is_machine, once=once
        )
        if kind in UNWANTED and not is_machine:
            said_no(delivery.integration, [No(delivery.customer_ref, kind, source, occurred_at, channel)])


def said_no(integration: Integration, noes: Sequence[No]) -> None:
    """Note that customers unsubscribed or complained at this integration's provider, and stop what waits for them.

    An unsubscribe holds for the channel that is told, else for the provider's own, else for all; a complaint for all. Who
    agreed again after it is written to: an old complaint may be told once more.
    """
    merchant_id, host = integration.merchant_id, get_host()
    news = [
        ConsentNews(no.ref, _channel_of(no, integration.provider), Consent.UNSUBSCRIBED, no.source, no.occurred_at) for no in noes
    ]
    kept = host.on_consent_change(merchant_id, news)
    complained = {no.ref for no in noes if no.kind == EngagementKind.COMPLAINT and no.ref in kept}
    said = host.consents(merchant_id, complained) if complained else {}
    for no in noes:
        if no.ref not in kept or (no.ref in complained and said.get(no.ref) != Consent.SUBSCRIBED):
            suppress(merchant_id, no.ref, no.kind, no.source, no.occurred_at)
    withdraw(merchant_id, {no.ref for no in noes})


def _channel_of(no: No, provider: str) -> str:
    """Return for which channel a no holds, empty for all."""
    return "" if no.kind == EngagementKind.COMPLAINT else no.channel or channel_of(provider)


def suppress(merchant_id: int, ref: str, kind: str, source: str, occurred_at: datetime) -> None:
    """Write to this customer no more. A complaint counts for more than an unsubscribe, and neither is written down twice."""
    row = {"kind": kind, "source": source[:60], "occurred_at": occurred_at}
    found, is_new = Suppression.objects.get_or_create(merchant_id=merchant_id, customer_ref=ref, defaults=row)
    if not is_new and kind == EngagementKind.COMPLAINT != found.kind:
        Suppression.objects.filter(pk=found.pk).update(**row)


def lift(merchant_id: int, ref: str, since: datetime) -> bool:
    """Write to this customer again, as they agreed to at that moment. Returns whether they had been suppressed before it."""
    return bool(Suppression.objects.filter(merchant=merchant_id, customer_ref=ref, occurred_at__lte=since).delete()[0])


def who_is_suppressed(merchant_id: int, refs: Collection[str]) -> Mapping[str, str]:
    """Return who of these customers is suppressed, and for what."""
    found: dict[str, str] = {}
    for part in in_parts(refs, REFS_AT_A_TIME):
        rows = Suppression.objects.filter(merchant=merchant_id, customer_ref__in=part)
        found |= dict(rows.values_list("customer_ref", "kind"))
    return found


def withdraw(merchant_id: int, refs: Iterable[str]) -> int:
    """Skip what waits for those of these customers who do not want it any more. Returns how many deliveries.

    Called where somebody said no; what was claimed at that moment has left.
    """
    return sum(_withdraw(merchant_id, part) for part in in_parts(refs, REFS_AT_A_TIME))


def _withdraw(merchant_id: int, refs: Collection[str]) -> int:
    """Skip what waits for so many customers."""
    waiting = EventDelivery.objects.filter(status__in=WAITING)
    mine = waiting.filter(merchant=merchant_id, customer_ref__in=refs, is_test=False)
    mine = mine.exclude(definition__consent_policy=ConsentPolicy.IGNORE)
    columns = ("pk", "integration_id", "integration__provider", "customer_ref", "definition__consent_policy")
    rows = list(mine.order_by().values_list(*columns))
    if not rows:
        return 0
    kinds, host = who_is_suppressed(merchant_id, refs), get_host()
    channels = {channel_of(row[2]) for row in rows}
    said = {channel: host.consents(merchant_id, refs, channel) for channel in channels}
    grouped: dict[Why, list[UUID]] = {}
    for pk, integration_id, provider, ref, policy in rows:
        if ref in kinds:
            grouped.setdefault(Why(integration_id, Reason.SUPPRESSED), []).append(pk)
        elif policy == ConsentPolicy.SKIP and said[channel_of(provider)].get(ref) == Consent.UNSUBSCRIBED:
            grouped.setdefault(Why(integration_id, Reason.NO_CONSENT), []).append(pk)
    return skip_waiting(waiting, grouped)


def look_again(now: datetime | None = None) -> int:
    """Withdraw what was recorded while its customer was unsubscribing: neither transaction saw the other. Returns how many."""
    recent = get_host().unsubscribed_since((now or timezone.now()) - LOOKED_BACK)
    return sum(withdraw(merchant_id, refs) for merchant_id, refs in recent.items())
