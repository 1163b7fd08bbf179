"""The catalogue: a card per provider, grouped by category, for one merchant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from unfold.widgets import BASE_INPUT_CLASSES

from integrations.models import Integration, Merchant, Status
from integrations.providers import all_providers
from integrations.providers.base import Provider
from integrations.scope import merchants_of, writable_merchants_of

# How a state is coloured and marked: unfold's label variant, and an icon for those who do not see the colour.
TONES = {
    Status.DRAFT: ("", "link_off"),
    Status.INITIALIZING: ("info", "sync"),
    Status.ACTIVE: ("success", "check_circle"),
    Status.ATTENTION: ("danger", "error"),
    Status.PAUSED: ("warning", "pause_circle"),
}
CHANGE = "admin:integrations_integration_change"
MARKS = 6  # colours of the squares, see setup.css


@dataclass(frozen=True, slots=True)
class State:
    """An integration's state as a coloured word."""

    word: str
    variant: str
    icon: str


@dataclass(frozen=True, slots=True)
class Card:
    """One provider, or one integration with it."""

    provider: Provider
    state: State
    mark: int
    is_draft: bool = True
    open_url: str = ""  # empty: nothing saved yet
    purpose: str = ""

    @property
    def initial(self) -> str:
        """Return the letter in the square."""
        return self.provider.label[:1].upper()


@dataclass(frozen=True, slots=True)
class Group:
    """The cards of one category."""

    title: str
    cards: list[Card]


def state_of(status: str) -> State:
    """Return the coloured word for a status."""
    variant, icon = TONES[Status(status)]
    return State(str(Status(status).label), variant, icon)


def purpose_of(provider: Provider, merchant: Merchant) -> str:
    """Return what a provider is for, in the merchant's word for coins."""
    return str(provider.guide.purpose).replace(str(_("coins")), merchant.coin_name)


def mark_of(provider: Provider) -> int:
    """Return which colour the provider's square has: always the same one."""
    return sum(map(ord, provider.slug)) % MARKS


def chosen_merchant(request: HttpRequest) -> Merchant | None:
    """Return the merchant of `?merchant=`, by default the user's first. 404 for one that is not the user's."""
    merchants, wanted = merchants_of(request.user), request.GET.get("merchant", "")
    if not wanted:
        return merchants.first()
    merchant = merchants.filter(pk=wanted).first() if wanted.isdecimal() and len(wanted) < 19 else None
    if merchant is None:
        raise Http404
    return merchant


def groups_of(merchant: Merchant, query: str) -> list[Group]:
    """Return the cards whose provider's name, category or purpose has every word of `query`, by category."""
    words = [word for word in re.split(r"[^\w]+", query.casefold()) if word]
    if query and not words:
        return []
    groups: dict[str, list[Card]] = {}
    for provider in all_providers():
        text = f"{provider.label} {provider.category} {purpose_of(provider, merchant)}".casefold()
        if all(word in text for word in words):
            groups.setdefault(str(provider.category), []).extend(_cards(provider, merchant))
    return [Group(title, cards) for title, cards in sorted(groups.items())]


def _cards(provider: Provider, merchant: Merchant) -> list[Card]:
    """Return a card per integration with this provider, or the one that offers to configure it."""
    found = Integration.objects.filter(merchant=merchant, provider=provider.slug).order_by("pk")
    mark, purpose = mark_of(provider), purpose_of(provider, merchant)
    cards = [
        Card(provider, state_of(row.status), mark, row.status == Status.DRAFT, reverse(CHANGE, args=[row.pk]), purpose)
        for row in found
    ]
    return cards or [Card(provider, state_of(Status.DRAFT), mark, purpose=purpose)]


def catalogue_context(request: HttpRequest) -> dict[str, Any]:
    """Return what the catalogue's template needs."""
    merchant, query = chosen_merchant(request), request.GET.get("q", "").strip()[:100]
    merchants = list(merchants_of(request.user)[:500])
    return {
        "merchant": merchant,
        "merchants": merchants,
        "query": query,
        "all_url": f"?merchant={merchant.pk}" if merchant else "",
        "input_classes": " ".join(BASE_INPUT_CLASSES),
        "groups": groups_of(merchant, query) if merchant else [],
        "may_configure": merchant is not None and writable_merchants_of(request.user).filter(pk=merchant.pk).exists(),
    }
