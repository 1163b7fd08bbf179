"""Which providers the sandbox plays: the path prefix, and the contract behind it. A new one adds a module and a line."""

from __future__ import annotations

from nectorbridge.sandbox.clevertap import CleverTap
from nectorbridge.sandbox.contlo import Contlo
from nectorbridge.sandbox.contract import Provider
from nectorbridge.sandbox.mailmodo import Mailmodo
from nectorbridge.sandbox.moengage import MoEngage
from nectorbridge.sandbox.wigzo import Wigzo

CLASSES: list[type[Provider]] = [CleverTap, MoEngage, Contlo, Mailmodo, Wigzo]


def fresh() -> dict[str, Provider]:
    """Return the providers of one sandbox, which remember nothing yet."""
    return {kind.slug: kind() for kind in CLASSES}


PROVIDERS = fresh()  # what there is, for those who need no memory
