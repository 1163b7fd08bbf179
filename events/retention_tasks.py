"""django-q2's own rows: it keeps failed tasks for ever, and queued ones until somebody takes them.

Our tasks are bells: one that rang in vain for days says nothing that the sweep does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django_q.models import OrmQ, Task

BATCH = 1000


def old_tasks(before: datetime) -> QuerySet[Any]:
    """Return tasks that ended before that moment, failed or not."""
    return Task.objects.filter(stopped__lt=before)


def purge_tasks(before: datetime) -> Iterator[int]:
    """Delete results of tasks, and queued tasks that nobody took, in batches."""
    for rows in (old_tasks(before), OrmQ.objects.filter(lock__lt=before)):
        while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
            done, _by_model = rows.model._default_manager.filter(pk__in=ids).delete()
            yield done
