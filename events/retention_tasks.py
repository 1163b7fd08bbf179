"""django-q2's own rows: it keeps failed tasks for ever, and queued ones until somebody takes them.

Our tasks are bells: one that rang in vain for days says nothing that the sweep does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django_q.models import OrmQ, Task

from events.purging import deleted


def old_tasks(before: datetime) -> QuerySet[Any]:
    """Return tasks that ended before that moment, failed or not."""
    return Task.objects.filter(stopped__lt=before)


def purge_tasks(before: datetime) -> Iterator[int]:
    """Delete results of tasks, and queued tasks that nobody took, in batches."""
    for rows in (old_tasks(before), OrmQ.objects.filter(lock__lt=before)):
        yield from deleted(rows.order_by("pk"))
