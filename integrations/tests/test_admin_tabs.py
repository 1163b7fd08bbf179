"""The tabs that join an integration's pages, and what the page says about the provider itself."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from integrations import providers
from integrations.admin import tabs
from integrations.models import Integration, Status
from integrations.tests.test_admin_setup import text, url_of
from integrations.tests.test_admin_setup_generic import Pigeon
from integrations.verification import set_status


@pytest.fixture
def every_page(monkeypatch):
    """A project that has all pages."""

    def known(name, args=()):
        return reverse(name, args=args) if "integrations_" in name else "/".join(["", name, *map(str, args)])

    monkeypatch.setattr(tabs, "reverse", known)


def test_all_tabs_lead_to_the_pages_of_this_integration(integration, every_page):
    found = tabs.tabs_of(integration, "events")

    assert [str(tab.label) for tab in found] == [
        "Set-up",
        "Events",
        "Deliveries",
        "Statistics",
        "Coming back",
        "Customers sync",
        "Launch checklist",
    ]
    assert found[0].url == url_of(integration)
    assert found[1].url == f"/admin:events_eventdefinition_changelist?integration__id__exact={integration.pk}"
    assert found[6].url == f"/admin:events_launch/{integration.pk}"
    assert [tab.is_active for tab in found] == [key == 1 for key in range(7)]


def test_pages_that_a_project_does_not_have_are_left_out(integration, monkeypatch):
    def unknown(name, args=()):
        if "events" in name:
            raise NoReverseMatch
        return reverse(name, args=args)

    monkeypatch.setattr(tabs, "reverse", unknown)

    assert [str(tab.label) for tab in tabs.tabs_of(integration, "setup")] == ["Set-up"]
    assert tabs.url_of(integration, "new_event") == ""


def test_the_set_up_page_marks_its_own_tab(viewer, integration):
    page = text(viewer.get(url_of(integration)))

    assert "Pages of this integration" in page
    (here,) = re.findall(r'<a href="([^"]*)" aria-current="page">.*?Set-up</a>', page)
    assert here == url_of(integration)
    assert f"{reverse('admin:events_eventdelivery_changelist')}?integration__id__exact={integration.pk}" in page


@pytest.fixture
def pigeon(merchant):
    class Lister(Pigeon):
        fills_list = True
        guide = replace(Pigeon.guide, caveats=("Nobody knows how long the bird flies.",))

    providers.register(Lister())
    yield Integration.objects.create(merchant=merchant, provider="pigeon", common_property="email")
    providers.unregister("pigeon")


def test_caveats_stand_at_the_initialize_button(staff, pigeon):
    page = text(staff.get(url_of(pigeon)))

    place = page.index("Nobody knows how long the bird flies.")
    assert page.index('id="step-3-title"') < place < page.index('name="_initialize"')


def test_a_provider_with_a_list_says_that_all_customers_are_added(staff, pigeon, every_page):
    sentence = "All customers are added to the list"
    assert sentence not in text(staff.get(url_of(pigeon)))

    set_status(pigeon, Status.ACTIVE, initialized_at=timezone.now(), enabled=True)

    page = text(staff.get(url_of(pigeon)))
    assert sentence in page
    assert f'href="/admin:events_contactsync_changelist?integration__id__exact={pigeon.pk}" class="underline"' in page
