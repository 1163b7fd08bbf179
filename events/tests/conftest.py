"""People and rows that the admin's tests start from."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from events.models import EventDefinition, EventDelivery
from integrations.models import Integration, Membership, Merchant
from nectorbridge.testing import make

# What is about the other database; CI runs on both, and skips nothing.
collect_ignore = ["test_sqlite.py" if "postgresql" in settings.DATABASES["default"]["ENGINE"] else "test_postgresql.py"]


def login(username: str, merchant: Merchant | None = None, role: str = "owner") -> Client:
    """Return a browser in which this member of staff is logged in."""
    user = get_user_model().objects.create_user(username, is_staff=True)
    if merchant:
        Membership.objects.create(merchant=merchant, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def deliver(definition: EventDefinition, **values: Any) -> EventDelivery:
    """Return a delivery of this event, queued unless said otherwise."""
    number = EventDelivery.objects.count()
    integration = definition.integration
    defaults: dict[str, Any] = {
        "definition": definition,
        "integration": integration,
        "merchant": integration.merchant,
        "trigger": definition.trigger,
        "event_name": definition.name,
        "customer_ref": "c1",
        "recipient": make.PERSON,
        "payload": {"coins": 50},
        "idempotency_key": f"{definition.pk}:{number}",
        "occurred_at": timezone.now(),
    }
    return EventDelivery.objects.create(**{**defaults, **values})


@pytest.fixture
def integration(db: None) -> Integration:
    return make.integration(make.merchant(coin_name="points", timezone="Asia/Kolkata"))


@pytest.fixture
def definition(integration: Integration) -> EventDefinition:
    return make.definition(integration)


@pytest.fixture
def owner(integration: Integration) -> Client:
    return login("owner", integration.merchant)


@pytest.fixture
def viewer(integration: Integration) -> Client:
    return login("viewer", integration.merchant, "viewer")


@pytest.fixture
def stranger(db: None) -> Client:
    """An owner of another merchant."""
    return login("stranger", make.merchant("other"))
