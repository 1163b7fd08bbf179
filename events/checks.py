"""System checks: the delivery's timing fits together."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def timing_fits(**_kwargs: Any) -> list[CheckMessage]:
    """A lease that ends before its request would let two workers send the same rows."""
    problems: list[CheckMessage] = []
    if settings.DELIVERY_LEASE_SECONDS <= settings.DELIVERY_HTTP_TIMEOUT_SECONDS:
        problems.append(
            Error(
                "DELIVERY_LEASE_SECONDS must exceed DELIVERY_HTTP_TIMEOUT_SECONDS.",
                hint="Raise the lease or lower the timeout; defaults are 60 and 10.",
                id="events.E001",
            )
        )
    if not settings.DELIVERY_RETRY_STEPS or min(settings.DELIVERY_RETRY_STEPS) < 0:
        problems.append(Error("DELIVERY_RETRY_STEPS must be seconds, comma-separated, none below 0.", id="events.E002"))
    if any(step < 0 for step in settings.DELIVERY_BREAKER_STEPS) or settings.DELIVERY_BREAKER_FAILURES < 1:
        problems.append(
            Error(
                "DELIVERY_BREAKER_FAILURES must be 1 or more, DELIVERY_BREAKER_STEPS seconds, comma-separated, none below 0.",
                id="events.E003",
            )
        )
    if settings.DELIVERY_WORKERS_PER_INTEGRATION < 1:
        problems.append(Error("DELIVERY_WORKERS_PER_INTEGRATION must be 1 or more.", id="events.E004"))
    return problems
