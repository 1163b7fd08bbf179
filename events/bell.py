"""The doorbell: at most one drain is asked for per integration, however many deliveries wait.

`bell_rung_at` is set by whoever rings and cleared by the drain before it claims. So a row that was committed before the
bell was found rung is seen by the drain that has yet to clear it. A bell older than a sweep counts as lost.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone
from django_q.tasks import async_task

from integrations.models import Integration

logger = logging.getLogger(__name__)
DRAIN_TASK = "events.tasks.drain"
# Said in SQL, since it runs after every wallet change.
RING_IF_SILENT = """
    UPDATE integrations_integration SET bell_rung_at = %s
    WHERE id = %s AND (bell_rung_at IS NULL OR bell_rung_at < %s)
"""


def ring(integration_id: int) -> bool:
    """Ask for a drain unless one is asked for already. Returns whether it rang. Call it outside of a transaction.

    A task queue that cannot be reached loses nothing: the next sweep rings again.
    """
    now = timezone.now()
    lost = now - timedelta(seconds=settings.DELIVERY_SWEEP_SECONDS)
    db = connections[DEFAULT_DB_ALIAS]
    adapt = db.ops.adapt_datetimefield_value
    with db.cursor() as cursor:
        cursor.execute(RING_IF_SILENT, [adapt(now), integration_id, adapt(lost)])
        if not cursor.rowcount:
            return False
    try:
        async_task(DRAIN_TASK, integration_id, q_options={"save": False})
    except Exception:  # the queue may be a Redis that is down: any of its errors means the same
        logger.warning("The task queue could not be reached; integration %s waits for the next sweep.", integration_id)
        return False
    return True


def clear(integration_id: int) -> None:
    """Note that a drain has begun: what is committed from here on must ring again."""
    Integration.objects.filter(pk=integration_id, bell_rung_at__isnull=False).update(bell_rung_at=None)
