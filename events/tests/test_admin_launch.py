"""The launch checklist: what ticks itself, what a person ticks, and who may."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events import launch
from events.models import Contact, Engagement, EventDefinition
from events.tests.conftest import deliver
from integrations.models import Integration
from nectorbridge.testing import make


def page(integration, verb: str = "launch") -> str:
    return reverse(f"admin:events_{verb}", args=[integration.pk])


def done(integration) -> set[str]:
    integration = Integration.objects.get(pk=integration.pk)
    return {line.key for line in launch.lines(integration) if line.done}


def test_a_fresh_integration_has_only_what_always_holds(integration):
    Integration.objects.update(initialized_at=None, status="draft")
    assert done(integration) == {"no_duplicates"}


def test_each_fact_ticks_itself_once_it_is_so(integration):
    assert done(integration) == {"no_duplicates", "initialized"}
    definition = make.definition(integration)
    assert done(integration) == {"no_duplicates", "initialized", "event_created"}
    EventDefinition.objects.update(seen_at=timezone.now())
    assert "test_accepted" in done(integration)
    Contact.objects.create(integration=integration, customer_ref="c1", status="synced", synced_at=timezone.now())
    assert "profile_matched" in done(integration)
    Engagement.objects.create(delivery=deliver(definition, is_test=True, status="sent"), kind="click", source="link")
    assert done(integration) == set(launch.FACTS)


@pytest.mark.parametrize("values", [{"kind": "open"}, {"kind": "click", "is_machine": True}])
def test_what_is_no_persons_click_does_not_count(integration, values):
    Engagement.objects.create(delivery=deliver(make.definition(integration), status="sent"), source="link", **values)
    assert "link_clicked" not in done(integration)


def test_another_integrations_click_does_not_count(integration):
    other = make.integration(integration.merchant)
    Engagement.objects.create(delivery=deliver(make.definition(other), status="sent"), kind="click", source="link")
    assert "link_clicked" in done(other) and "link_clicked" not in done(integration)


def test_what_stopped_working_is_no_longer_ticked(integration):
    definition = make.definition(integration)
    EventDefinition.objects.filter(pk=definition.pk).update(enabled=False)
    Integration.objects.update(status="attention")
    assert done(integration) == {"no_duplicates"}


def test_the_page_says_how_far_and_what_is_next(owner, integration):
    text = re.sub(r"\s+", " ", owner.get(page(integration)).content.decode())
    assert "2 of 12" in text and "Create the first event." in text
    assert f"{reverse('admin:events_eventdefinition_add')}?integration={integration.pk}" in text


def test_the_page_is_one_of_the_integrations_tabs(owner, integration):
    answer = owner.get(page(integration))
    assert [tab.label for tab in answer.context["tabs"] if tab.is_active] == ["Launch checklist"]
    assert b'aria-label="Pages of this integration"' in answer.content


def test_a_line_is_ticked_by_hand_with_who_and_when_and_taken_back(owner, integration):
    owner.post(page(integration, "launch_tick"), {"key": "content", "done": "1"})
    integration.refresh_from_db()
    assert integration.checklist["content"]["by"] == "owner"
    assert "Ticked by owner" in owner.get(page(integration)).content.decode()
    owner.post(page(integration, "launch_tick"), {"key": "content"})
    integration.refresh_from_db()
    assert integration.checklist == {}


def test_a_second_tick_keeps_who_was_first(owner, integration):
    launch.tick(integration, "content", True, "meera")
    owner.post(page(integration, "launch_tick"), {"key": "content", "done": "1"})
    integration.refresh_from_db()
    assert integration.checklist["content"]["by"] == "meera"


@pytest.mark.parametrize("key", ["initialized", "no_duplicates", "nonsense", ""])
def test_what_ticks_itself_cannot_be_ticked_by_hand(owner, integration, key):
    assert owner.post(page(integration, "launch_tick"), {"key": key, "done": "1"}).status_code == 404
    integration.refresh_from_db()
    assert integration.checklist == {}


def test_a_get_of_the_verb_only_leads_to_the_page(owner, integration):
    assert owner.get(page(integration, "launch_tick"), {"key": "content", "done": "1"}).url == page(integration)
    integration.refresh_from_db()
    assert integration.checklist == {} and not LogEntry.objects.exists()


def test_a_viewer_looks_and_ticks_nothing(viewer, integration):
    text = viewer.get(page(integration)).content.decode()
    assert "launch_tick" not in text and 'name="key"' not in text
    assert viewer.post(page(integration, "launch_tick"), {"key": "content", "done": "1"}).status_code == 403
    integration.refresh_from_db()
    assert integration.checklist == {}


def test_another_merchants_staff_find_nothing(stranger, integration):
    assert stranger.get(page(integration)).status_code == 404
    assert stranger.post(page(integration, "launch_tick"), {"key": "content", "done": "1"}).status_code == 404
    integration.refresh_from_db()
    assert integration.checklist == {}


def test_the_number_of_queries_does_not_grow(owner, integration):
    definition = make.definition(integration)
    deliver(definition)
    owner.get(page(integration))
    with CaptureQueriesContext(
        connection,
    ) as few:
        owner.get(page(integration))
    for number in range(20):
        deliver(make.definition(integration, name=f"Event {number}"))
    with CaptureQueriesContext(connection) as many:
        owner.get(page(integration))
    assert len(many) <= len(few)


@pytest.mark.parametrize("broken", [[], {"content": "yes"}, {"content": {"at": "nonsense"}}])
def test_a_checklist_that_something_else_wrote_breaks_no_page(owner, integration, broken):
    Integration.objects.update(checklist=broken)
    assert owner.get(page(integration)).status_code == 200
