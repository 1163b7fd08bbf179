"""What every benchmark starts from: a merchant, an active CleverTap integration, a definition, customers with wallets."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from events import Activity, record, record_many
from events.models import EventDefinition, EventDelivery
from events.states import State
from integrations.models import Integration, Merchant, Status
from nectorbridge.loyalty.models import Customer, Wallet

TRIGGER = "walletreward_create"
RUNG_AHEAD = timedelta(days=1)
MAILMODO_RATE = 50  # calls a second, the highest plan
# What each provider's integration needs: settings, names of secrets, common property.
ACCOUNTS: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "clevertap": ({"account_id": "BENCH-000-000-000", "server_prefix": "in1"}, ("private_api_key",), "customer_id"),
    "moengage": ({"workspace_id": "BENCH00000000", "server_prefix": "01"}, ("data_api_key",), "customer_id"),
    "contlo": ({}, ("private_api_key",), "email"),
    "wigzo": ({}, ("org_token", "api_token"), "email"),
    "mailmodo": ({"list_name": "Bench", "requests_per_second": MAILMODO_RATE}, ("api_key",), "email"),
}


@dataclass(frozen=True)
class World:
    """The rows of one benchmark."""

    merchant: Merchant
    integration: Integration
    definition: EventDefinition
    customers: Sequence[Customer]

    def silence_bell(self) -> None:
        """Have the bell count as rung, so that recording asks for no drain."""
        Integration.objects.filter(pk=self.integration.pk).update(bell_rung_at=timezone.now() + RUNG_AHEAD)

    def free_bell(self) -> None:
        """Have the bell count as silent: what is recorded next rings it."""
        Integration.objects.filter(pk=self.integration.pk).update(bell_rung_at=None)

    def record_one(self, number: int) -> None:
        """Record one activity as the product does, bell and all."""
        record(self._activity(self.customers[number % len(self.customers)], number))

    def queue(self, count: int) -> None:
        """Queue that many deliveries, spread over the customers, without ringing the bell."""
        self.silence_bell()
        record_many(self.activities(count))

    def activities(self, count: int) -> list[Activity]:
        """Return that many activities, spread over the customers."""
        return [self._activity(self.customers[number % len(self.customers)], number) for number in range(count)]

    def _activity(self, customer: Customer, number: int) -> Activity:
        return Activity(
            merchant_id=self.merchant.pk,
            trigger=TRIGGER,
            customer_ref=customer.ref,
            recipient=customer.recipient,
            properties={
                "coins": 50,
                "balance": 50 + number,
                "operation": "cr",
                "title": "Welcome",
                "transaction_id": str(number),
            },
            occurred_at=timezone.now(),
            key=f"{TRIGGER}:{uuid.uuid4()}",
            consent=customer.consent,  # as the ledger has it at hand
        )

    def unfinished(self) -> int:
        """Return how many deliveries are still on their way."""
        return self._open().count()

    def is_done(self) -> bool:
        """Tell whether none is on its way any more."""
        return not self._open().exists()

    def _open(self) -> QuerySet[EventDelivery]:
        return EventDelivery.objects.filter(
            integration=self.integration, status__in=(State.QUEUED, State.SENDING, State.RETRYING, State.HELD)
        )


def build(customers: int, provider: str = "clevertap", slug: str = "bench") -> World:
    """Create a world with that many customers, connected to this provider; `slug` names its merchant."""
    settings, secrets, common_property = ACCOUNTS[provider]
    merchant = Merchant.objects.create(name="Bench Store", slug=slug, website="https://bench.example", currency="INR")
    integration = Integration(
        merchant=merchant,
        provider=provider,
        common_property=common_property,
        settings=settings,
        enabled=True,
        status=Status.ACTIVE,
        initialized_at=timezone.now(),
    )
    integration.secrets = {name: uuid.uuid4().hex for name in secrets}
    integration.save()
    definition = EventDefinition.objects.create(integration=integration, trigger=TRIGGER, name="Wallet Coins Rewarded")
    people = Customer.objects.bulk_create(
        Customer(
            merchant=merchant,
            customer_id=f"C{number}",
            email=f"customer{number}@bench.example",
            phone=f"+9198765{number:05d}",
            name=f"Customer {number}",
        )
        for number in range(customers)
    )
    Wallet.objects.bulk_create(Wallet(customer=person) for person in people)
    return World(merchant, integration, definition, people)
