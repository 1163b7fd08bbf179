"""The strip of tabs that joins the pages of one integration. Pages that a project does not have are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from integrations.models import Integration
from integrations.signals import steps_done

OF_INTEGRATION = "?integration__id__exact={pk}"
# Key, words, icon, URL name, whether the integration is an argument of it or a filter of a list.
TABS: tuple[tuple[str, Any, str, str, bool], ...] = (
    ("setup", _("Set-up"), "tune", "admin:integrations_integration_change", True),
    ("events", _("Events"), "bolt", "admin:events_eventdefinition_changelist", False),
    ("deliveries", _("Deliveries"), "outbox", "admin:events_eventdelivery_changelist", False),
    ("statistics", _("Statistics"), "monitoring", "admin:events_statistics", True),
    ("coming_back", _("Coming back"), "undo", "admin:events_coming_back", True),
    ("sync", _("Customers sync"), "group", "admin:events_contactsync_changelist", False),
    ("launch", _("Launch checklist"), "checklist", "admin:events_launch", True),
)


@dataclass(frozen=True, slots=True)
class Tab:
    """One of the pages that belong together."""

    label: Any
    url: str
    is_active: bool
    icon: str


def tabs_of(integration: Integration, active: str) -> list[Tab]:
    """Return the tabs, for `integrations/tabs.html` (as `tabs`). `active` is the key of the page that shows them."""
    found = [(key, label, icon, url_of(integration, key)) for key, label, icon, _name, _is_argument in TABS]
    return [Tab(label, url, key == active, icon) for key, label, icon, url in found if url]


def url_of(integration: Integration, key: str) -> str:
    """Return the address of one of an integration's pages, or nothing in a project that does not have it."""
    try:
        if key == "new_event":
            return f"{reverse('admin:events_eventdefinition_add')}?integration={integration.pk}"
        name, is_argument = next((name, is_argument) for tab, _label, _icon, name, is_argument in TABS if tab == key)
        return reverse(name, args=[integration.pk]) if is_argument else reverse(name) + OF_INTEGRATION.format(pk=integration.pk)
    except NoReverseMatch:
        return ""


def done_afterwards(integration: Integration) -> frozenset[str]:
    """Return which steps after connecting are done, by the pages they lead to."""
    told = steps_done.send(Integration, integration=integration)
    return frozenset(name for _receiver, names in told for name in names or ())
