"""Leaving out what waits: deliveries that are skipped before a worker has claimed them, each counted with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet

from events import tallies
from events.models import EventDelivery
from events.states import State
from events.statistics import disturb_all


class Why(NamedTuple):
    """Whose deliveries they are, and why they are left out; `detail` in words, where there is more to say."""

    integration_id: int
    reason: str
    detail: str = ""


def skip_waiting(waiting: QuerySet[EventDelivery], grouped: Mapping[Why, Sequence[Any]]) -> int:
    """Skip these, given by their keys, as far as they are still among what waits. Returns how many were."""
    done: Counter[tuple[int, str]] = Counter()
    with transaction.atomic(savepoint=False):
        disturb_all((why.integration_id, pk) for why, ids in grouped.items() for pk in ids)  # some may be held
        for (integration_id, reason, detail), ids in grouped.items():
            values = {"status": State.SKIPPED, "reason": reason, "detail": detail, "next_attempt_at": None}
            done[integration_id, reason] += waiting.filter(pk__in=ids).update(**values)
        for (integration_id, reason), number in done.items():
            tallies.add(tallies.skipped_counts(reason, number), integration_id)
    return done.total()
