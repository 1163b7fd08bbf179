"""Packing claimed deliveries with the provider's module, also where that breaks on one of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from events import claims
from integrations.hygiene import about
from integrations.providers.base import Account, Event, Packed, Profile, Provider

logger = logging.getLogger(__name__)


def event_of(row: claims.Claimed, remote_id: str = "") -> Event:
    """Return a claimed delivery as the provider's module takes it."""
    return Event(row.id, row.event_name, row.customer_ref, row.recipient, row.payload, row.occurred_at, remote_id)


def pack(
    contract: Provider,
    account: Account,
    events: Sequence[Event],
    profiles: Mapping[str, Profile],
    owner: str,
    now: datetime,
    ahead: Callable[[], Packed] | None = None,
) -> Packed:
    """Pack events and note those that cannot be sent at all; one on which our own code breaks fails as internal.

    Both are in the returned `skipped`: nothing more will become of them. `ahead`: returns what came of packing these same events
    elsewhere, or raises what that raised.
    """
    broken: dict[str, str] = {}
    try:
        packed = ahead() if ahead else contract.pack_events(account, events, profiles, now)
    except Exception:  # the worker's edge: one delivery that cannot be packed must not stop the queue
        logger.exception("Deliveries for %s could not be packed.", contract.slug)
        sound = [event for event in events if _packs(contract, account, event, profiles, owner, now)]
        packed = contract.pack_events(account, sound, profiles, now) if sound else Packed(())
        broken = {event.delivery_id: "internal" for event in events if event not in sound}
    if packed.skipped:
        claims.skip(dict(packed.skipped), owner)
    return replace(packed, skipped={**packed.skipped, **broken}) if broken else packed


def _packs(
    contract: Provider, account: Account, event: Event, profiles: Mapping[str, Profile], owner: str, now: datetime
) -> bool:
    """Tell whether this delivery alone can be packed; if not, fail it."""
    try:
        contract.pack_events(account, [event], profiles, now)
    except Exception:
        claims.fail(event.delivery_id, owner)
        logger.error("Delivery %s could not be packed.", event.delivery_id, extra=about(delivery=event.delivery_id))
        return False
    return True
