"""What the form of an event asks while it is filled in: GETs that only read, within the scope."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from events.models import EventDefinition
from nectorbridge.testing import make

CHECK = reverse("admin:events_eventdefinition_check")
SKETCH = reverse("admin:events_eventdefinition_sketch")
ADD = reverse("admin:events_eventdefinition_add")


def asked(integration, **values):
    return {"integration": integration.pk, "trigger": "walletreward_create", "name": "", **values}


@pytest.mark.parametrize(
    ("provider", "name", "answer"),
    [
        ("clevertap", "", ("walletreward_create", "walletreward_create", "")),
        ("moengage", "", ("WalletRewardCreate", "WalletRewardCreate", "")),
        ("moengage", "Coins earned!", ("coins_earned_", "WalletRewardCreate", "")),
        ("contlo", "Coins earned", ("Coins_earned", "walletreward_create", "")),
    ],
)
def test_a_name_is_said_as_it_leaves_beside_the_providers_own(owner, integration, provider, name, answer):
    other = make.integration(integration.merchant, provider=provider)
    said = owner.get(CHECK, asked(other, name=name)).json()
    assert (said["leaves_as"], said["default"], said["error"]) == answer


@pytest.mark.parametrize("name", ["App Launched", "x" * 201])
def test_a_name_that_cannot_be_is_said_with_the_reason(owner, integration, name):
    said = owner.get(CHECK, asked(integration, name=name)).json()
    assert said["error"] and not said["leaves_as"]


@pytest.mark.parametrize("missing", ["integration", "trigger"])
def test_what_is_not_chosen_yet_is_no_error(owner, integration, missing):
    assert owner.get(CHECK, asked(integration) | {missing: ""}).json() == {"leaves_as": "", "default": "", "error": ""}
    assert "Choose an integration" in owner.get(SKETCH, asked(integration) | {missing: ""}).content.decode()


@pytest.mark.parametrize("url", [CHECK, SKETCH])
def test_another_merchants_integration_finds_nothing(stranger, integration, url):
    for wanted in (integration.pk, "nonsense", "9" * 30):
        assert stranger.get(url, asked(integration) | {"integration": wanted}).status_code == 404


def test_the_sketch_has_properties_request_caveats_and_the_merchants_word_and_no_secret(owner, integration):
    text = owner.get(SKETCH, asked(integration, name="My points")).content.decode()
    assert "Wallet Points Rewarded" in text and "a customer earns points" in text
    assert "nector_click_url" in text and "https://in1.api.clevertap.com/1/upload" in text and "My points" in text
    assert "project&#x27;s schema" in text
    assert "CANARY" not in text
    assert not EventDefinition.objects.exists()


def test_the_add_page_shows_the_sketch_without_any_script(owner, integration):
    text = owner.get(f"{ADD}?integration={integration.pk}&trigger=coupon_create").content.decode()
    assert "THANKS10" in text and "https://in1.api.clevertap.com/1/upload" in text
    form = {"integration": integration.pk, "trigger": "coupon_create", "name": "App Launched", "portal": "all"}
    assert "THANKS10" in owner.post(ADD, form).content.decode()


def test_the_triggers_are_grouped_and_say_when_they_fire(owner, integration):
    text = owner.get(ADD).content.decode()
    assert '<optgroup label="Coupons">' in text and "unfold-admin-autocomplete" in text
    assert "Coupon Is Created: fires when a customer gets a coupon" in text


def test_the_add_page_sketches_nothing_of_another_merchant(stranger, integration):
    text = stranger.get(f"{ADD}?integration={integration.pk}&trigger=coupon_create").content.decode()
    assert "THANKS10" not in text and "api.clevertap.com" not in text


@pytest.mark.parametrize("wanted", ["nonsense", "999", "9" * 30])
def test_an_integration_that_does_not_exist_breaks_no_add_page(owner, integration, wanted):
    assert owner.get(f"{ADD}?integration={wanted}&trigger=nonsense").status_code == 200


def test_the_properties_are_shown_with_what_kind_of_value_they_have(owner, integration):
    page = owner.get(SKETCH, asked(integration, trigger="coupon_create")).content.decode()
    for name, kind in {"coupon_value": "number", "coupon_expires_at": "time", "coupon_code": "text"}.items():
        assert re.search(rf'{name}</dt><dd[^>]*>[^<]*<span class="nb-quiet">{kind}<', page), name
