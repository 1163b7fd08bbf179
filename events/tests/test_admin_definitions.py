from __future__ import annotations

import pytest
from django.urls import reverse

from events.models import EventDefinition
from events.tests.conftest import deliver
from nectorbridge.testing import make

LIST = reverse("admin:events_eventdefinition_changelist")
ADD = reverse("admin:events_eventdefinition_add")
FORM = {"trigger": "coupon_create", "name": "", "portal": "all", "enabled": "on"}


def page(definition: EventDefinition, verb: str = "change") -> str:
    return reverse(f"admin:events_eventdefinition_{verb}", args=[definition.pk])


def test_an_event_without_a_name_gets_the_providers_usual_one(owner, integration):
    answer = owner.post(ADD, FORM | {"integration": integration.pk}, follow=True)
    created = EventDefinition.objects.get()
    assert created.name == "coupon_create" and answer.redirect_chain[0][0] == page(created)
    assert "“coupon_create” is created" in answer.content.decode()


def test_a_name_that_the_provider_keeps_is_refused_at_its_field(owner, integration):
    answer = owner.post(ADD, FORM | {"integration": integration.pk, "name": "App Launched"})
    assert "keeps the name" in str(answer.context["adminform"].form.errors["name"])
    assert not EventDefinition.objects.exists()


@pytest.mark.parametrize("wrong", [{"trigger": "nonsense"}, {"integration": ""}, {"integration": "999"}])
def test_what_is_missing_or_unknown_is_an_error_at_its_field(owner, integration, wrong):
    answer = owner.post(ADD, FORM | {"integration": integration.pk} | wrong)
    assert set(answer.context["adminform"].form.errors) == set(wrong)


def test_another_merchants_integration_cannot_be_chosen(owner):
    foreign = make.integration(make.merchant("other"))
    answer = owner.post(ADD, FORM | {"integration": foreign.pk})
    assert "integration" in answer.context["adminform"].form.errors


def test_the_add_page_preselects_the_integration_and_speaks_of_points(owner, integration):
    text = owner.get(f"{ADD}?integration={integration.pk}").content.decode()
    assert f'<option value="{integration.pk}" selected>' in text
    assert "Wallet Points Rewarded: fires when a customer earns points" in text


def test_the_preview_shows_the_exact_request_and_no_secret(owner, definition):
    text = owner.get(page(definition)).content.decode()
    assert "https://in1.api.clevertap.com/1/upload" in text and "evtName" in text and "nector_click_url" in text
    assert "CANARY" not in text and "PASSCODE" not in text and "••••" in text


def test_the_list_counts_what_was_sent_in_a_week_without_tests(owner, definition):
    deliver(definition, status="sent")
    deliver(definition, status="sent", is_test=True)
    deliver(definition, status="failed")
    answer = owner.get(LIST)
    assert [row.sent_count for row in answer.context["cl"].result_list] == [1]
    assert "Wallet Points Rewarded" in answer.content.decode()


def test_another_merchants_staff_get_nothing(stranger, definition):
    assert page(definition) not in stranger.get(LIST).content.decode()
    assert stranger.get(page(definition)).status_code == 302
    assert stranger.post(page(definition, "turn_off"), {"_form_submitted": "on"}).status_code == 403
    stranger.post(LIST, {"action": "switch_off", "_selected_action": [definition.pk]})
    definition.refresh_from_db()
    assert definition.enabled


def test_viewers_change_nothing(viewer, definition):
    assert viewer.get(LIST).status_code == 200
    assert viewer.get(ADD).status_code == 403
    assert viewer.post(page(definition), {"name": "x", "portal": "all"}).status_code == 403
    assert viewer.post(page(definition, "turn_off"), {"_form_submitted": "on"}).status_code == 403
    definition.refresh_from_db()
    assert definition.enabled


def test_an_event_is_switched_off_by_post_only(owner, definition):
    assert owner.get(page(definition, "turn_off")).status_code == 200
    definition.refresh_from_db()
    assert definition.enabled
    owner.post(page(definition, "turn_off"), {"_form_submitted": "on"})
    definition.refresh_from_db()
    assert not definition.enabled


def test_an_event_with_history_is_not_deleted_but_its_switch_is_named(owner, definition):
    deliver(definition)
    answer = owner.post(page(definition, "delete"), {"post": "yes"}, follow=True)
    assert "Switch it off instead" in answer.content.decode() and EventDefinition.objects.exists()


def test_an_event_that_never_sent_anything_can_be_deleted(owner, definition):
    owner.post(page(definition, "delete"), {"post": "yes"})
    assert not EventDefinition.objects.exists()


def test_the_trigger_of_an_existing_event_stays(owner, definition):
    owner.post(page(definition), {"name": "New name", "portal": "pos", "trigger": "coupon_create", "enabled": "on"})
    definition.refresh_from_db()
    assert (definition.name, definition.portal, definition.trigger) == ("New name", "pos", "walletreward_create")


def test_the_only_integration_is_chosen_already(owner, integration):
    form = owner.get(ADD).context["adminform"].form
    assert form["integration"].value() == integration.pk


def test_of_several_integrations_none_is_chosen(owner, integration):
    make.integration(integration.merchant)
    assert owner.get(ADD).context["adminform"].form["integration"].value() is None
