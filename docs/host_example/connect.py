"""Connects a shop to CleverTap and creates one event: `manage.py shell < connect.py`. Staff do the same in the admin."""

import os

from events.models import EventDefinition
from integrations.models import Integration, Merchant

merchant = Merchant.objects.create(name="Linen House", slug="linen-house", website="https://linen.example")
integration = Integration(
    merchant=merchant,
    provider="clevertap",
    settings={"account_id": os.environ["CLEVERTAP_ACCOUNT"], "server_prefix": "in1"},
)
integration.secrets = {"private_api_key": os.environ["CLEVERTAP_PASSCODE"]}
integration.save()
result = integration.initialize()
EventDefinition.objects.create(integration=integration, trigger="walletreward_create", name="Points Given")
print("Connected." if result.ok else f"{result.reason} {result.fix}")
