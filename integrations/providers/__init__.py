"""The providers: every module in this folder that sets `PROVIDER` is one. Nothing else has to be edited to add one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from integrations.providers.base import Provider


@cache
def _registry() -> dict[str, Provider]:
    """Return the providers by slug, found by looking into this folder."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    found = [module.PROVIDER for module in modules if hasattr(module, "PROVIDER")]
    return {provider.slug: provider for provider in sorted(found, key=lambda provider: provider.label.lower())}


def all_providers() -> list[Provider]:
    """Return every provider, by label."""
    return list(_registry().values())


def get_provider(slug: str) -> Provider:
    """Return one provider. Raises KeyError for a slug that no module declares."""
    return _registry()[slug]


def channel_of(slug: str) -> str:
    """Return the channel on which a provider writes; empty where the journey there chooses, or it is no longer installed."""
    found = _registry().get(slug)
    return found.channel if found else ""


def register(provider: Provider) -> None:
    """Add a provider from elsewhere: a host project's own, or a test's."""
    _registry()[provider.slug] = provider


def unregister(slug: str) -> None:
    """Remove a provider that was added by `register`."""
    _registry().pop(slug, None)


def choices() -> list[tuple[str, str]]:
    """Return the choices of a provider field. A callable, so that a new provider makes no migration."""
    return [(provider.slug, provider.label) for provider in all_providers()]
