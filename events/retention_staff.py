"""Of staff: invitations that were accepted or have expired, and sessions that are over, which Django keeps until told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet

from events.purging import deleted
from integrations.models import Invitation


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
    yield from deleted(old_invitations(before).order_by("pk"))


def purge_sessions(before: datetime) -> Iterator[int]:
    """Delete sessions that are over, in batches."""
    if (rows := old_sessions(before)) is not None:
        yield from deleted(rows.order_by("pk"))
