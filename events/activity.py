"""One thing that happened to one customer at one moment: the value that every part of a host hands to the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events.triggers import canonical

LONGEST_KEY = 200
LONGEST_REF = 200
LONGEST_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Activity:
    """A loyalty activity. Immutable.

    `customer_ref` is the host's own reference; `recipient` holds customer_id, email, phone and name as they were;
    `properties` are flat; `occurred_at` is aware; `key` says what happened, unique per merchant: recorded again under
    the same key it adds nothing. `consent` is what the customer agreed to by channel (`email`, `sms`, `whatsapp`), as values of
    `events.host.Consent`; None: the host is asked. `subject` says what it is about, where that may be told only once: a second
    one of the same customer is a duplicate, whatever its key. `definition_ids`: who alone is concerned, if not every event of
    this trigger. Raises ValueError for an unknown trigger, a naive time, or a missing or overlong key.
    """

    merchant_id: int
    trigger: str
    customer_ref: str
    recipient: Mapping[str, Any]
    properties: Mapping[str, Any]
    occurred_at: datetime
    key: str
    portal: str = ""
    is_backfill: bool = False
    is_test: bool = False
    consent: Mapping[str, str] | None = None
    subject: str = ""
    definition_ids: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what could never be delivered, where the mistake was made."""
        object.__setattr__(self, "trigger", canonical(self.trigger))
        if self.occurred_at.tzinfo is None or self.occurred_at.utcoffset() is None:
            raise ValueError("occurred_at must be an aware time; use django.utils.timezone.now()")
        if not self.key or len(self.key) > LONGEST_KEY:
            raise ValueError(f"key must have 1 to {LONGEST_KEY} characters; got {len(self.key)}")
        if not self.customer_ref or len(self.customer_ref) > LONGEST_REF:
            raise ValueError(f"customer_ref must have 1 to {LONGEST_REF} characters; got {len(self.customer_ref)}")
        if len(self.subject) > LONGEST_SUBJECT:
            raise ValueError(f"subject must have at most {LONGEST_SUBJECT} characters; got {len(self.subject)}")
