"""Of staff: invitations that were accepted or have expired, and sessions that are over, which Django keeps until told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet

from integrations.models import Invitation

BATCH = 1000


def old_invitations(before: datetime) -> QuerySet[Any]:
    """Return invitations that came to their end before that moment. One that is open stays."""
    expired = Q(accepted_at=None, expires_at__lt=before)
    return Invitation.objects.filter(Q(accepted_at__lt=before) | expired)


def old_sessions(before: datetime) -> QuerySet[Any] | None:
    """Return sessions that ended before that moment; None where they are not kept in the database."""
    if not apps.is_installed("django.contrib.sessions"):
        return None
    rows: QuerySet[Any] = apps.get_model("sessions", "Session").objects.filter(expire_date__lt=before)
    return rows


def purge_invitations(before: datetime) -> Iterator[int]:
    """Delete invitations that ended so long ago, in batches."""
    yield from _purge(old_invitations(before))


def purge_sessions(before: datetime) -> Iterator[int]:
    """Delete sessions that are over, in batches."""
    if (rows := old_sessions(before)) is not None:
        yield from _purge(rows)


def _purge(rows: QuerySet[Any]) -> Iterator[int]:
    """Delete rows, a batch at a time."""
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        yield rows.model._default_manager.filter(pk__in=keys).delete()[0]
