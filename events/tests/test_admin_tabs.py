"""The pages of one integration hang together: the same strip on each, and lists that know whose they are."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from events.models import EventDefinition
from integrations.admin.setup_page import steps_of
from integrations.forms import SetupForm
from integrations.models import Integration
from nectorbridge.testing import make

WORDS = ["Set-up", "Events", "Deliveries", "Statistics", "Coming back", "Customers sync", "Launch checklist"]


def text(answer) -> str:
    return answer.content.decode()


def strip(page: str) -> tuple[list[str], str]:
    """Return the words of the strip, and the one that is marked as here."""
    nav = page[page.index('aria-label="Pages of this integration"') :].split("</nav>")[0]
    rows = re.findall(r"<a ([^>]*)><span[^>]*>\w+</span>([^<]*)</a>", nav)
    (here,) = [word for attributes, word in rows if "aria-current" in attributes]
    return [word for _attributes, word in rows], here


def pages(integration) -> dict[str, str]:
    of = f"?integration__id__exact={integration.pk}"
    return {
        "Set-up": reverse("admin:integrations_integration_change", args=[integration.pk]),
        "Events": reverse("admin:events_eventdefinition_changelist") + of,
        "Deliveries": reverse("admin:events_eventdelivery_changelist") + of,
        "Statistics": reverse("admin:events_statistics", args=[integration.pk]),
        "Coming back": reverse("admin:events_coming_back", args=[integration.pk]),
        "Customers sync": reverse("admin:events_contactsync_changelist") + of,
        "Launch checklist": reverse("admin:events_launch", args=[integration.pk]),
    }


@pytest.mark.parametrize("word", WORDS)
def test_every_page_of_an_integration_has_the_same_strip(owner, integration, word):
    page = text(owner.get(pages(integration)[word]))

    assert strip(page) == (WORDS, word) and str(integration) in page
    assert "integrations/shared.css" in page, "one look"


@pytest.mark.parametrize("model", ["eventdefinition", "eventdelivery"])
@pytest.mark.parametrize("query", ["", "?integration__id__exact=abc", "?integration__id__exact=" + "9" * 30])
def test_a_list_of_all_integrations_has_no_strip(owner, integration, model, query):
    page = text(owner.get(reverse(f"admin:events_{model}_changelist") + query, follow=True))

    assert "Pages of this integration" not in page


def test_another_merchants_integration_shows_no_strip(stranger, integration):
    page = text(stranger.get(pages(integration)["Events"], follow=True))

    assert "Pages of this integration" not in page and str(integration) not in page


def test_an_integration_without_events_offers_to_create_the_first(owner, integration):
    page = text(owner.get(pages(integration)["Events"]))

    assert "No events yet" in page and "Nothing matches" not in page
    assert f"{reverse('admin:events_eventdefinition_add')}?integration={integration.pk}" in page
    assert "Nothing matches" in text(owner.get(pages(integration)["Events"] + "&q=zebra"))


def test_the_set_up_page_ticks_what_is_done_after_connecting(integration):
    Integration.objects.update(initialized_at=timezone.now())

    def states() -> list[str]:
        row = Integration.objects.get()
        return [step.state for step in steps_of(row, SetupForm(integration=row))][3:]

    assert states() == ["next", "then", "then"]
    make.definition(integration)
    assert states() == ["done", "next", "then"]


def test_a_connected_set_up_page_leads_on_to_the_pages_of_its_steps(owner, integration):
    page = text(owner.get(pages(integration)["Set-up"]))
    assert "Now choose what should be sent." in page

    make.definition(integration)
    EventDefinition.objects.update(seen_at=timezone.now())

    page = text(owner.get(pages(integration)["Set-up"]))
    assert f'{pages(integration)["Launch checklist"]}#events"' in page and "Your events are sent within seconds." in page
    assert 'id="events"' in text(owner.get(pages(integration)["Launch checklist"]))


def test_creating_an_event_has_one_button_that_says_so(owner, integration):
    page = text(owner.get(reverse("admin:events_eventdefinition_add"), {"integration": integration.pk}))

    assert "Create event" in page and "Save and add another" not in page and "_continue" not in page
    existing = text(owner.get(reverse("admin:events_eventdefinition_change", args=[make.definition(integration).pk])))
    assert "Save and continue editing" in existing and ">Create event<" not in existing


@pytest.mark.parametrize("name", ["admin:index", "admin:events_eventdefinition_changelist", "admin:events_eventdefinition_add"])
def test_the_keyboards_first_stop_passes_over_the_menu(owner, integration, name):
    page = text(owner.get(reverse(name)))

    assert page.count('<a href="#content" class="nb-skip">') == 1 and page.count('id="content"') == 1
    assert page.index("nb-skip") < page.index('href="/admin/"')
