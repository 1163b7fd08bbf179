"""Whose events they are: merchants connected to every provider, customers with several events each. All of it from the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from django.utils import timezone

from events import Activity
from events.models import EventDefinition
from integrations.models import Integration, Merchant, Status
from nectorbridge.bench.world import ACCOUNTS, TRIGGER

# How much of the activity each provider gets: those that take one event a call would otherwise decide how long a run takes.
SHARES = {"clevertap": 40, "moengage": 28, "contlo": 14, "wigzo": 10, "mailmodo": 8}
EVENTS_PER_CUSTOMER = 6
EVENTS_PER_MERCHANT = 10_000  # of one round through all providers
FEWEST_CUSTOMERS = 8
NUMBER = "transaction_id"  # the property that tells one activity from all others


@dataclass(frozen=True)
class Shop:
    """One merchant with its one integration."""

    merchant_id: int
    integration_id: int
    provider: str
    customers: int


class World:
    """The shops, and what happens in them: activity `number` is the same each time it is asked for."""

    def __init__(self, shops: Sequence[Shop], seed: int) -> None:
        """Take the shops in the order in which they were made."""
        self.shops = shops
        self.seed = seed
        self._steps = list(accumulate(SHARES[shop.provider] for shop in shops))

    def activity(self, number: int, key: str = "chaos") -> Activity:
        """Return one activity."""
        chance = random.Random(f"{self.seed}:{number}")  # noqa: S311 - the same seed, the same world
        (shop,) = chance.choices(self.shops, cum_weights=self._steps)
        person = f"c{chance.randrange(shop.customers)}"
        ref = f"{shop.merchant_id}-{person}"
        return Activity(
            merchant_id=shop.merchant_id,
            trigger=TRIGGER,
            customer_ref=ref,
            recipient={"customer_id": ref, "email": f"{ref}@chaos.example", "phone": "", "name": f"Customer {person}"},
            properties={"coins": 50, "balance": number, "operation": "cr", NUMBER: str(number)},
            occurred_at=timezone.now(),
            key=f"{key}:{number}",
        )


def build(events: int) -> None:
    """Make the merchants, each connected to one provider."""
    rounds = 1 + (events - 1) // EVENTS_PER_MERCHANT
    for turn in range(rounds):
        for provider in SHARES:
            settings, secrets, common_property = ACCOUNTS[provider]
            name = f"{provider}-{turn}"
            merchant = Merchant.objects.create(name=name, slug=name, website="https://chaos.example")
            integration = Integration(
                merchant=merchant,
                provider=provider,
                common_property=common_property,
                settings=settings,
                enabled=True,
                status=Status.ACTIVE,
                initialized_at=timezone.now(),
            )
            integration.secrets = {secret: f"{name}-{secret}" for secret in secrets}
            integration.save()
            EventDefinition.objects.create(integration=integration, trigger=TRIGGER, name="Wallet Coins Rewarded")


def load(events: int, seed: int) -> World:
    """Return the world that `build` made."""
    rows = list(Integration.objects.order_by("pk").values_list("merchant_id", "pk", "provider"))
    shares = sum(SHARES[provider] for _merchant, _pk, provider in rows)
    shops = [
        Shop(merchant, pk, provider, max(FEWEST_CUSTOMERS, events * SHARES[provider] // shares // EVENTS_PER_CUSTOMER))
        for merchant, pk, provider in rows
    ]
    return World(shops, seed)
