"""Which providers the sandbox plays: the path prefix, and the contract behind it. A new one adds a module and a line."""

from __future__ import annotations

from nectorbridge.sandbox.clevertap import CleverTap
from nectorbridge.sandbox.contlo import Contlo
from nectorbridge.sandbox.contract import Provider
from nectorbridge.sandbox.mailmodo import Mailmodo
from nectorbridge.sandbox.moengage import MoEngage

PROVIDERS: dict[str, Provider] = {provider.slug: provider for provider in [CleverTap(), MoEngage(), Contlo(), Mailmodo()]}
