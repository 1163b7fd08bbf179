"""How a customer stands now: who they are, and whether they may be written to. Asked before anything is sent again.

What a delivery carries was frozen when it was recorded; *whom* it goes to is asked anew. A customer whom the host knows gets
it as they are known now, since a corrected address is often why somebody sends again. One whom the host does not know (any
more) gets it at the address it was recorded with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events.host import Consent, get_host
from events.models import EventDefinition, EventDelivery
from events.states import ConsentPolicy, EngagementKind, Reason
from events.suppression import who_is_suppressed
from events.trial import recipient_of


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery's customer now: the recipient, why nothing may be sent to them (empty: it may), and their reference."""

    recipient: Mapping[str, Any]
    reason: str = ""
    ref: str = ""


def standings(rows: Sequence[EventDelivery]) -> dict[UUID, Standing]:
    """Return how the customer of each of these deliveries stands. A few questions however many rows there are.

    Integrations must be loaded, and their providers installed.
    """
    now = {merchant: get_host().resolve_refs(merchant, refs) for merchant, refs in _refs(rows).items()}
    people = _people(now)
    consents = _consents(rows)
    suppressed = {merchant: who_is_suppressed(merchant, {*refs, *refs.values()}) for merchant, refs in now.items()}
    wanted = {row.definition_id for row in rows}
    policies = dict(EventDefinition.objects.filter(pk__in=wanted).values_list("pk", "consent_policy"))
    found = {}
    for row in rows:
        ref = now[row.merchant_id].get(row.customer_ref, row.customer_ref)
        known, policy = people.get((row.merchant_id, ref)), policies.get(row.definition_id)
        recipient = known if known is not None else row.recipient
        kinds = suppressed[row.merchant_id]
        kind = _graver(kinds.get(row.customer_ref), kinds.get(ref))
        said = consents.get((row.merchant_id, row.integration.contract.channel, row.customer_ref))
        if kind == EngagementKind.COMPLAINT or (kind and policy != ConsentPolicy.IGNORE):
            reason: str = Reason.SUPPRESSED
        elif said == Consent.UNSUBSCRIBED and policy == ConsentPolicy.SKIP:
            reason = Reason.NO_CONSENT
        elif row.integration.contract.identity(recipient, row.integration.common_property) is None:
            reason = Reason.NO_IDENTITY
        else:
            reason = ""
        found[row.pk] = Standing(recipient, reason, ref)
    return found


def _graver(one: str | None, another: str | None) -> str | None:
    """Return for what somebody is suppressed who was known under two references: a complaint counts for more."""
    return EngagementKind.COMPLAINT if EngagementKind.COMPLAINT in (one, another) else one or another


def _refs(rows: Iterable[EventDelivery]) -> dict[int, set[str]]:
    """Return the customers by merchant."""
    found: dict[int, set[str]] = defaultdict(set)
    for row in rows:
        found[row.merchant_id].add(row.customer_ref)
    return found


def _people(now: Mapping[int, Mapping[str, str]]) -> dict[tuple[int, str], dict[str, Any]]:
    """Return the recipients whom the host knows, by merchant and by the reference of today."""
    host = get_host()
    return {
        (merchant, profile.ref): recipient_of(profile)
        for merchant, refs in now.items()
        for profile in host.profiles(merchant, refs=set(refs.values()), limit=len(refs))
    }


def _consents(rows: Sequence[EventDelivery]) -> dict[tuple[int, str, str], str]:
    """Return what the customers agreed to, by merchant, channel and customer."""
    host = get_host()
    asked: dict[tuple[int, str], set[str]] = defaultdict(set)
    for row in rows:
        asked[row.merchant_id, row.integration.contract.channel].add(row.customer_ref)
    return {
        (merchant, channel, ref): consent
        for (merchant, channel), refs in asked.items()
        for ref, consent in host.consents(merchant, refs, channel).items()
    }
