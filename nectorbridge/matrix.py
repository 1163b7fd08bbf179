"""What each provider can do, as a table of its module's own declarations: `docs/providers/README.md`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.utils.translation import override

from integrations.providers import all_providers
from integrations.providers.base import Account, Provider

PATH = Path(__file__).resolve().parent.parent / "docs" / "providers" / "README.md"
TRIGGER = "walletreward_create"
INTRODUCTION = f"""# Providers

Written by `manage.py featurematrix` from the providers' modules; do not edit.

How each provider is spoken to. The limits are those that we keep to: the provider's own where it publishes any, else our
measure (its page says which). The last rows are about `{TRIGGER}` and a property called `coins`.
"""


def _names(provider: Provider) -> str:
    """Return what the provider may know a customer by."""
    return ", ".join(str(label) for _value, label in provider.identities)


def _rate(provider: Provider) -> str:
    """Return the calls a second that an account gets where staff say nothing else."""
    rate = provider.calls_per_second(Account({}, {}))
    return f"{rate:g}" if rate else "none published"


def _minute(provider: Provider) -> str:
    """Return what may be sent in a minute, by kind."""
    limits = provider.limits.per_minute
    return ", ".join(f"{name} {number:,}" for name, number in limits.items()) or "none published"


def _event(provider: Provider) -> str:
    """Return the name that an event gets where staff type none."""
    return f"`{provider.event_name(provider.default_event_name(TRIGGER))}`"


def _snippet(provider: Provider) -> str:
    """Return how a message shows a property."""
    journey = provider.guide.journey
    return f"`{journey.snippet % {'name': 'coins'}}`" if journey.snippet else "no syntax published"


def _yes(value: bool) -> str:
    """Return a switch in a word."""
    return "yes" if value else "no"


ROWS: tuple[tuple[str, Callable[[Provider], str]], ...] = (
    ("Names customers by", _names),
    ("Events a call", lambda provider: f"{provider.limits.records_per_call:,}"),
    ("Bytes a call", lambda provider: f"{provider.limits.bytes_per_call:,}"),
    ("Calls at once", lambda provider: str(provider.limits.calls_in_flight)),
    ("Calls a second", _rate),
    ("Records a minute", _minute),
    ("Contacts a call, when all are synced", lambda provider: f"{provider.limits.contacts_per_call:,}"),
    ("Of those calls at once", lambda provider: str(provider.limits.bulk_in_flight)),
    ("Contact must be known before its events", lambda provider: _yes(provider.identify_first)),
    ("Holds coins, tier, referral, next expiry", lambda provider: _yes(provider.holds_attributes)),
    ("Connecting fills a list there", lambda provider: _yes(provider.fills_list)),
    ("Default event name", _event),
    ("A property in a message", _snippet),
)


def render() -> str:
    """Return the page."""
    providers = all_providers()
    with override("en"):
        table = [["", *(f"[{provider.label}]({provider.slug}.md)" for provider in providers)], ["---"] * (len(providers) + 1)]
        table += [[title, *(_cell(read(provider)) for provider in providers)] for title, read in ROWS]
    lines = [f"| {' | '.join(row)} |" for row in table]
    return INTRODUCTION + "\n" + "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return a text that stays within its cell."""
    return " ".join(text.split()).replace("|", "\\|")
