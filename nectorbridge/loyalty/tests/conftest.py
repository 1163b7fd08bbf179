"""People and rows that the ledger's admin tests start from."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from integrations.models import Membership, Merchant
from nectorbridge.loyalty.models import Customer
from nectorbridge.testing import make


def login(username: str, merchant: Merchant, role: str = "owner") -> Client:
    """Return a browser in which this member of staff is logged in."""
    user = get_user_model().objects.create_user(username, is_staff=True)
    Membership.objects.create(merchant=merchant, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def shop(db: None) -> Merchant:
    return make.merchant("shop", coin_name="points", timezone="Asia/Kolkata")


@pytest.fixture
def customer(shop: Merchant) -> Customer:
    return Customer.objects.create(merchant=shop, customer_id="c1", email="asha@example.com", name="Asha Rao")


@pytest.fixture
def owner(shop: Merchant) -> Client:
    return login("owner", shop)


@pytest.fixture
def viewer(shop: Merchant) -> Client:
    return login("viewer", shop, "viewer")


@pytest.fixture
def stranger(db: None) -> Client:
    """An owner of another merchant."""
    return login("stranger", make.merchant("elsewhere"))


@pytest.fixture
def manager(shop: Merchant) -> Client:
    return login("manager", shop, "manager")
