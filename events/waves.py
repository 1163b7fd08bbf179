"""How a drain cuts its work: how much a wave claims, which deliveries are packed together, what a packer sees of them."""

from __future__ import annotations

from collections.abc import Sequence

from events.claims import Claimed
from integrations.providers.base import Event, Limits

CALLS_PER_WAVE = 4
CLAIMED_PER_SINGLE_CALL = 4  # where a call takes one event: enough customers to fill every call, though some come twice


def wave_size(limits: Limits) -> tuple[int, int]:
    """Return how many deliveries a wave claims, and how many of them are packed at a time.

    Where a call takes one event, a wave is one part and fills all the calls that the contract allows side by side.
    """
    if limits.records_per_call == 1:
        single = CLAIMED_PER_SINGLE_CALL * limits.calls_in_flight
        return single, single
    return min(CALLS_PER_WAVE, limits.calls_in_flight) * limits.records_per_call, limits.records_per_call


def parts_of(claimed: Sequence[Claimed], size: int) -> list[list[Claimed]]:
    """Return the claimed rows in parts of about `size`, a customer's rows in one part and in order."""
    by_customer: dict[str, list[Claimed]] = {}
    for row in claimed:
        by_customer.setdefault(row.customer_ref, []).append(row)
    parts: list[list[Claimed]] = [[]]
    for rows in by_customer.values():
        if parts[-1] and len(parts[-1]) + len(rows) > size:
            parts.append([])
        parts[-1] += rows
    return parts


def event_of(row: Claimed) -> Event:
    """Return a claimed delivery as the provider's module takes it."""
    return Event(row.id, row.event_name, row.customer_ref, row.recipient, row.payload, row.occurred_at)
