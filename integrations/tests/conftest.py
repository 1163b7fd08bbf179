"""What the tests of this room share: a merchant, its staff, an integration."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from integrations.models import Integration, Membership, Merchant

pytest.register_assert_rewrite("integrations.tests.contract", "integrations.tests.conformance")

CONNECT_URL = "https://in1.api.clevertap.com/v1/connect?partner=nector"
CANARY = "CANARY-PASSCODE-7f3d4f2a"


def member(merchant: Merchant | None, role: str = "owner", username: str = "") -> Client:
    """Return a logged-in browser of somebody in the merchant's staff (or in nobody's)."""
    user = User.objects.create_user(username or f"{role}-{merchant.slug if merchant else 'nowhere'}", is_staff=True)
    if merchant:
        Membership.objects.create(merchant=merchant, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def merchant(db) -> Merchant:
    return Merchant.objects.create(name="Acme India", slug="acme", timezone="Asia/Kolkata")


@pytest.fixture
def other_merchant(db) -> Merchant:
    return Merchant.objects.create(name="Zebra Zone", slug="zebra")


@pytest.fixture
def staff(merchant) -> Client:
    return member(merchant)


@pytest.fixture
def viewer(merchant) -> Client:
    return member(merchant, "viewer")


@pytest.fixture
def stranger(other_merchant) -> Client:
    return member(other_merchant)


@pytest.fixture
def administrator(db) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def integration(merchant) -> Integration:
    """A CleverTap integration with its values filled in, not connected yet."""
    row = Integration(merchant=merchant, provider="clevertap", settings={"account_id": "K97-K78-1234", "server_prefix": "in1"})
    row.secrets = {"private_api_key": CANARY}
    row.save()
    return row
