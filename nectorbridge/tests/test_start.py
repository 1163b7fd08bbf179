"""The guided start on the home page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events import retention, statistics
from events.models import EventDelivery
from integrations.models import Integration, Membership, Role
from nectorbridge.testing import make
from nectorbridge.tests.test_dashboard import HOME, deliver, staff

TITLES = ["Connect a provider", "Create an event", "Send a test event", "Watch the first real delivery"]


@pytest.fixture
def shop(db):
    return make.merchant("fresh", coin_name="stars")


def ticks(client: Client) -> list[bool]:
    (guide,) = client.get(HOME).context["guides"]
    return [step.done for step in guide.steps]


def test_a_new_merchant_sees_four_steps_in_its_own_words_each_with_its_link(shop):
    answer = staff(shop).get(HOME)
    (guide,) = answer.context["guides"]
    text = answer.content.decode()
    assert [step.title for step in guide.steps] == TITLES
    assert "First steps: 0 of 4 done" in text and "earns stars" in text and "coins" not in text.partition("nb-timeline")[2]
    assert guide.steps[0].url.endswith(f"?merchant={shop.pk}") and guide.steps[0].url in text
    assert [bool(step.url) for step in guide.steps] == [True, True, False, True], "a test needs an event"
    assert all(Client.get(staff(shop), step.url).status_code == 200 for step in guide.steps if step.url)
    assert answer.context["is_new"]


def test_steps_are_ticked_one_after_the_other_and_then_the_guide_is_gone(shop):
    client = staff(shop)
    integration = make.integration(shop)
    assert ticks(client) == [True, False, False, False]
    definition = make.definition(integration)
    assert ticks(client) == [True, True, False, False]
    assert reverse("admin:events_eventdefinition_test", args=[definition.pk]) in client.get(HOME).content.decode()
    deliver(definition, timezone.now(), "failed", is_test=True)
    assert ticks(client) == [True, True, False, False], "a test that was refused is no test that was sent"
    deliver(definition, timezone.now(), is_test=True)
    assert ticks(client) == [True, True, True, False]
    deliver(definition, timezone.now(), "queued")
    assert ticks(client) == [True, True, True, False]
    deliver(definition, timezone.now())
    answer = client.get(HOME)
    assert answer.context["guides"] == [] and "First steps" not in answer.content.decode()


def test_the_guide_does_not_come_back_when_rows_are_purged_or_the_integration_is_disconnected(shop):
    definition = make.definition(make.integration(shop))
    deliver(definition, timezone.now() - timedelta(days=3))
    while statistics.fold():
        pass
    assert sum(retention.purge_deliveries(timezone.now() - timedelta(days=1))) == 1
    Integration.objects.update(initialized_at=None, status="draft")
    assert not EventDelivery.objects.exists()
    assert staff(shop).get(HOME).context["guides"] == []


def test_who_sees_several_merchants_sees_the_guide_of_each_that_has_not_finished(shop):
    other, done = make.merchant("second"), make.definition()
    deliver(done, timezone.now())
    client = staff(shop)
    user = shop.staff.get()
    for merchant in (other, done.integration.merchant):
        Membership.objects.create(merchant=merchant, user=user)
    for viewer in (client, staff(is_superuser=True)):
        answer = viewer.get(HOME)
        assert [guide.merchant for guide in answer.context["guides"]] == [other, shop]
        assert "First steps of Fresh: 0 of 4 done" in answer.content.decode()
    assert "earns stars" in client.get(HOME).content.decode() and "earns coins" in client.get(HOME).content.decode()


def test_a_viewer_sees_the_steps_without_what_only_others_may_press(shop):
    user = get_user_model().objects.create_user("viewer", is_staff=True)
    Membership.objects.create(merchant=shop, user=user, role=Role.VIEWER)
    client = Client()
    client.force_login(user)
    make.definition(make.integration(shop))
    answer = client.get(HOME)
    (guide,) = answer.context["guides"]
    assert [step.url for step in guide.steps[:3]] == ["", "", ""] and client.get(guide.steps[3].url).status_code == 200
    text = answer.content.decode()
    assert "An owner or a manager does this." in text and "/test/" not in text
    assert reverse("admin:events_eventdefinition_add") not in text


def test_the_guide_costs_one_query_however_many_merchants_there_are(shop):
    for number in range(8):
        make.merchant(f"shop{number}")
    client = staff(is_superuser=True)
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(HOME)
    assert len(answer.context["guides"]) == 6
    assert sum("is_connected" in query["sql"] for query in captured) == 1


def test_an_administrator_without_merchants_is_sent_to_make_one(db):
    answer = staff(is_superuser=True).get(HOME)
    assert "There is no merchant yet" in answer.content.decode() and answer.context["is_new"]
