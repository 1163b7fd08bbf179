"""What this app reads of a host's settings, and what holds for those that are not there (see docs/operations.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings


def _workers() -> int:
    """Return how many processes the host's cluster has."""
    return int(getattr(settings, "Q_CLUSTER", {}).get("workers") or 4)


def _workers_per_integration() -> int:
    """Return how many of them one integration may have at a time."""
    workers: int = getattr(settings, "DELIVERY_WORKERS")  # noqa: B009 - the type of the setting is made from what stands here
    return max(1, workers // 2)


DEFAULTS: Mapping[str, Any] = {
    "NECTORBRIDGE_HOST": "",  # nobody answers for customers: no search, consent unknown
    "TRACKING_KEYS": [],  # links are signed with FERNET_KEYS
    "PUBLIC_REQUESTS_PER_MINUTE": 3000,
    "DELIVERY_WORKERS": _workers,
    "DELIVERY_WORKERS_PER_INTEGRATION": _workers_per_integration,
    "DELIVERY_LEASE_SECONDS": 60.0,
    "DELIVERY_SWEEP_SECONDS": 5.0,
    "DELIVERY_ORDER_HOLD_SECONDS": 600.0,
    # Before each further try; the first is immediate. 17 waits make 18 tries, 8.9 days.
    "DELIVERY_RETRY_STEPS": [5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 10800.0, 21600.0, 43200.0, *[86400.0] * 8],
    "DELIVERY_UNCERTAIN_RESENDS": 2,
    "DELIVERY_BREAKER_FAILURES": 3,
    "DELIVERY_BREAKER_STEPS": [],  # those of the retries, up to five minutes
    "PROFILE_SYNC_SECONDS": 10.0,
    "RETENTION_PAYLOAD_DAYS": 180.0,
    "RETENTION_ATTEMPT_DAYS": 90.0,
    "RETENTION_DELIVERY_DAYS": 730.0,
    "RETENTION_AUDIT_DAYS": 1095.0,
    "RETENTION_INVITATION_DAYS": 30.0,
    "RETENTION_TASK_DAYS": 7.0,
}
