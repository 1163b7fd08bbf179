"""Deleting what is old a batch at a time, so that nobody waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

BATCH = 1000


def deleted(rows: QuerySet[Any]) -> Iterator[int]:
    """Delete these rows, also by what belongs to them, until none is left. Yields how many went with each batch.

    What no longer matches when its batch's turn comes stays.
    """
    while keys := list(rows.values_list("pk", flat=True)[:BATCH]):
        yield rows.order_by().filter(pk__in=keys).delete()[0]
