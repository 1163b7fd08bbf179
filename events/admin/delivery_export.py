"""Deliveries as CSV, line by line: what the list shows, and of a customer no more than the list shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from events.admin.csv_file import BYTE_ORDER_MARK, line
from events.admin.delivery_page import customer_name
from events.bulk_filter import DeliveryFilter, newest_first
from events.models import EventDelivery
from integrations.kept_words import said

PAGE = 500
COLUMNS = ("payload", "destination", "idempotency_key", "lease_owner")  # not loaded


def lines(rows: QuerySet[EventDelivery], wanted: DeliveryFilter) -> Iterator[str]:
    """Yield the header and a line for each of these rows, which the filter matches, newest first; in short statements."""
    yield BYTE_ORDER_MARK + line(_header())
    for page in newest_first(wanted, rows.select_related("integration", "merchant").defer(*COLUMNS), PAGE):
        yield "".join(line(_values(row)) for row in page)


def _header() -> list[str]:
    """Return the names of the columns."""
    return [
        _("recorded"),
        _("merchant"),
        _("customer"),
        _("event"),
        _("provider"),
        _("state"),
        _("what came of it"),
        _("tries"),
        _("sent"),
        _("test"),
        _("delivery ID"),
        _("replay of"),
    ]


def _values(row: EventDelivery) -> list[Any]:
    """Return a delivery's columns. Times are ISO 8601 in the merchant's zone."""
    zone = ZoneInfo(row.merchant.timezone)
    return [
        row.created_at.astimezone(zone).isoformat(timespec="seconds"),
        row.merchant.name,
        customer_name(row),
        row.event_name,
        row.integration.label,
        str(row.get_status_display()),
        said(row.detail) or str(row.get_reason_display()),
        row.attempt_count,
        row.sent_at.astimezone(zone).isoformat(timespec="seconds") if row.sent_at else "",
        _("yes") if row.is_test else "",
        row.pk,
        row.replay_of_id or "",
    ]
