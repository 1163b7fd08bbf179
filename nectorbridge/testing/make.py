"""Makes the rows that tests of the outbox start from. Knows `events` and `integrations` only."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone

from events.activity import Activity
from events.models import EventDefinition
from integrations.models import Integration, Merchant, Status

PERSON = {"customer_id": "c1", "email": "asha@example.com", "phone": "+919876543210", "name": "Asha Rao"}
UPLOAD = "https://in1.api.clevertap.com/1/upload"
CONNECT = "https://in1.api.clevertap.com/v1/connect"


def merchant(slug: str = "acme", **values: Any) -> Merchant:
    """Return a merchant."""
    return Merchant.objects.create(**{"name": slug.title(), "slug": slug, "website": f"https://{slug}.example", **values})


def integration(owner: Merchant | None = None, **values: Any) -> Integration:
    """Return an active CleverTap integration."""
    defaults: dict[str, Any] = {
        "merchant": owner or merchant(),
        "provider": "clevertap",
        "settings": {"account_id": "TEST-000-000-000", "server_prefix": "in1"},
        "secrets": {"private_api_key": "CANARY-PASSCODE-42"},
        "enabled": True,
        "status": Status.ACTIVE,
        "initialized_at": timezone.now(),
    }
    return Integration.objects.create(**{**defaults, **values})


def definition(of: Integration | None = None, **values: Any) -> EventDefinition:
    """Return an enabled definition of “Wallet Coins Rewarded”."""
    defaults = {"integration": of or integration(), "trigger": "walletreward_create", "name": "Wallet Coins Rewarded"}
    return EventDefinition.objects.create(**{**defaults, **values})


def activity(owner: Merchant, person: str = "c1", **values: Any) -> Activity:
    """Return coins that a customer just earned."""
    defaults: dict[str, Any] = {
        "merchant_id": owner.pk,
        "trigger": "walletreward_create",
        "customer_ref": person,
        "recipient": {**PERSON, "customer_id": person},
        "properties": {"coins": 50, "balance": 150, "operation": "cr", "title": None},
        "occurred_at": timezone.now(),
        "key": f"walletreward_create:{uuid.uuid4()}",
    }
    return Activity(**{**defaults, **values})
