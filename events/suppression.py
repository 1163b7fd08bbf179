"""Who said no: what comes back from a provider, and what it does to what still waits for the same customer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from events import tallies
from events.host import Consent, ConsentNews, get_host
from events.models import Engagement, EventDelivery, Suppression
from events.states import ConsentPolicy, EngagementKind, Reason, State
from events.statistics import disturb_all
from integrations.providers import get_provider

UNWANTED = (EngagementKind.UNSUBSCRIBE, EngagementKind.COMPLAINT)
WAITING = (State.QUEUED, State.RETRYING, State.HELD)
REFS_AT_A_TIME = 500
LOOKED_BACK = timedelta(minutes=2)  # longer than a transaction that records takes


def came_back(delivery: EventDelivery, kind: str, source: str, occurred_at: datetime, is_machine: bool = False) -> None:
    """Write down that the customer of this delivery unsubscribed or complained, and stop what waits for them.

    The host keeps it as their consent, on the provider's channel or on all. A complaint also suppresses them here, and so does an
    unsubscribe that no host keeps. What a mail filter did is written down and has no consequences.
    """
    with transaction.atomic():
        Engagement.objects.create(delivery=delivery, kind=kind, source=source, occurred_at=occurred_at, is_machine=is_machine)
        if kind not in UNWANTED or is_machine:
            return
        ref, merchant_id = delivery.customer_ref, delivery.merchant_id
        channel = "" if kind == EngagementKind.COMPLAINT else get_provider(delivery.integration.provider).channel
        news = ConsentNews(ref, channel, Consent.UNSUBSCRIBED, source, occurred_at)
        kept = get_host().on_consent_change(merchant_id, [news])
        if kind == EngagementKind.COMPLAINT or ref not in kept:
            suppress(merchant_id, ref, kind, source, occurred_at)
        withdraw(merchant_id, [ref])


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
    wanted = sorted(refs)
    for start in range(0, len(wanted), REFS_AT_A_TIME):
        rows = Suppression.objects.filter(merchant=merchant_id, customer_ref__in=wanted[start : start + REFS_AT_A_TIME])
        found |= dict(rows.values_list("customer_ref", "kind"))
    return found


def withdraw(merchant_id: int, refs: Iterable[str]) -> int:
    """Skip what waits for those of these customers who do not want it any more. Returns how many deliveries.

    Called where somebody said no; what was claimed at that moment has left.
    """
    wanted, withdrawn = sorted(set(refs)), 0
    for start in range(0, len(wanted), REFS_AT_A_TIME):
        withdrawn += _withdraw(merchant_id, wanted[start : start + REFS_AT_A_TIME])
    return withdrawn


def _withdraw(merchant_id: int, refs: Collection[str]) -> int:
    """Skip what waits for so many customers."""
    mine = EventDelivery.objects.filter(merchant=merchant_id, customer_ref__in=refs, status__in=WAITING, is_test=False)
    mine = mine.exclude(definition__consent_policy=ConsentPolicy.IGNORE)
    rows = list(mine.order_by().values_list("pk", "integration_id", "integration__provider", "customer_ref", *POLICY))
    if not rows:
        return 0
    kinds, host = who_is_suppressed(merchant_id, refs), get_host()
    channels = {_channel(row[2]) for row in rows}
    said = {channel: host.consents(merchant_id, refs, channel) for channel in channels}
    grouped: dict[tuple[int, str], list[UUID]] = {}
    for pk, integration_id, provider, ref, policy in rows:
        if ref in kinds:
            grouped.setdefault((integration_id, Reason.SUPPRESSED), []).append(pk)
        elif policy == ConsentPolicy.SKIP and said[_channel(provider)].get(ref) == Consent.UNSUBSCRIBED:
            grouped.setdefault((integration_id, Reason.NO_CONSENT), []).append(pk)
    return sum(_skip(integration_id, reason, ids) for (integration_id, reason), ids in grouped.items())


POLICY = ("definition__consent_policy",)


def _channel(provider: str) -> str:
    """Return the channel on which a provider writes; empty for one that is no longer installed."""
    try:
        return get_provider(provider).channel
    except KeyError:
        return ""


def _skip(integration_id: int, reason: str, ids: Collection[UUID]) -> int:
    """Skip these, as far as they still wait."""
    with transaction.atomic():
        disturb_all((integration_id, pk) for pk in ids)  # some may be held
        waiting = EventDelivery.objects.filter(pk__in=list(ids), status__in=WAITING)
        number = waiting.update(status=State.SKIPPED, reason=reason, detail="", next_attempt_at=None)
        tallies.add(tallies.skipped_counts(reason, number), integration_id)
    return number


def look_again(now: datetime | None = None) -> int:
    """Withdraw what was recorded while its customer was unsubscribing: neither transaction saw the other. Returns how many."""
    recent = get_host().unsubscribed_since((now or timezone.now()) - LOOKED_BACK)
    return sum(withdraw(merchant_id, refs) for merchant_id, refs in recent.items())
