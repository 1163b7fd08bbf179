"""The side bar says where somebody is, also on pages whose address is beneath another entry's."""

from __future__ import annotations

import pytest
from django.urls import reverse

from nectorbridge.testing import make

OF_INTEGRATION = [
    ("integrations_integration_change", True),
    ("events_statistics", True),
    ("events_coming_back", True),
    ("events_launch", True),
    ("events_contactsync_changelist", False),
]


def highlighted(client, address: str) -> list[str]:
    """Return the titles that are marked as the place of a page."""
    groups = client.get(address).context["sidebar_navigation"]
    return [str(item["title"]) for group in groups for item in group["items"] if item["active"]]


@pytest.mark.parametrize(("name", "is_argument"), OF_INTEGRATION)
def test_every_page_of_an_integration_is_at_integrations(admin_client, name, is_argument):
    integration = make.integration()
    address = reverse(f"admin:{name}", args=[integration.pk] if is_argument else [])
    query = "" if is_argument else f"?integration__id__exact={integration.pk}"
    assert highlighted(admin_client, address + query) == ["Integrations"]


@pytest.mark.parametrize("name", ["change", "test", "journey", "statistics", "worth"])
def test_every_page_of_an_event_is_at_events(admin_client, name):
    definition = make.definition()
    assert highlighted(admin_client, reverse(f"admin:events_eventdefinition_{name}", args=[definition.pk])) == ["Events"]


def test_home_is_at_home_alone(admin_client, db):
    assert highlighted(admin_client, reverse("admin:index")) == ["Home"]
