"""The pages of Nector's door: the address, secrets that are shown once, what came, what nobody listens to."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from events.models import EventDefinition
from integrations.models import Merchant
from nectorbridge.loyalty.models import Customer, DoorRefusal, WebhookReceipt
from nectorbridge.loyalty.nector import body as bodies
from nectorbridge.loyalty.nector import inbox
from nectorbridge.loyalty.tests.conftest import login
from nectorbridge.testing import make

DOOR = reverse("admin:loyalty_nector_door")
LIST = reverse("admin:loyalty_webhookreceipt_changelist")


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    monkeypatch.setattr("events.bell.async_task", lambda *_args, **_kwargs: None)


def arrive(shop, topic="lead_create", content=None, delivery="d1"):
    content = {"customer": {"id": "shopify-7", "email": "a@b.example", "note": "<b>bold</b>"}} if content is None else content
    assert inbox.store(
        shop.pk, inbox.Arrived(topic, content, bodies.fingerprint(topic, delivery), delivery, "unix", None, "absent")
    )
    inbox.work(shop.pk)
    return WebhookReceipt.objects.get(delivery_id=delivery)


def page(client, **post):
    answer = client.post(DOOR, post) if post else client.get(DOOR)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_a_merchant_without_a_secret_is_told_what_to_do_and_gets_one_that_is_shown_once(owner, shop):
    assert "There is no secret yet" in page(owner) and shop.nector_webhook_token in page(owner)
    shown = page(owner, verb="secret")
    secret = Merchant.objects.get(pk=shop.pk).nector_webhook_secret
    assert len(secret) > 30 and secret in shown
    assert secret not in page(owner) and f"••••{secret[-4:]}" in page(owner)
    assert "No webhook has come yet" in page(owner)


def test_a_secret_of_ones_own_is_never_shown_and_a_short_one_refused(owner, shop):
    assert "CANARY-of-a-merchant" not in page(owner, verb="secret", secret="CANARY-of-a-merchant")
    assert Merchant.objects.get(pk=shop.pk).nector_webhook_secret == "CANARY-of-a-merchant"
    assert "16 to 200 characters" in page(owner, verb="secret", secret="short")
    page(owner, verb="secret")
    assert len(Merchant.objects.get(pk=shop.pk).nector_secrets) == 2
    page(owner, verb="keep")
    assert len(Merchant.objects.get(pk=shop.pk).nector_secrets) == 1


def test_the_address_and_the_mode_are_changed(owner, shop):
    page(owner, verb="address")
    page(owner, verb="mode", mode="enforce")
    page(owner, verb="mode", mode="nonsense")
    found = Merchant.objects.get(pk=shop.pk)
    assert found.nector_webhook_token != shop.nector_webhook_token and found.nector_hmac_mode == "enforce"


def test_viewers_look_and_strangers_see_another_door(viewer, stranger, shop):
    assert 'name="verb"' not in page(viewer)
    assert viewer.post(DOOR, {"verb": "secret"}).status_code == 403
    assert shop.nector_webhook_token not in page(stranger)
    assert stranger.get(DOOR, {"merchant": shop.pk}).status_code == 404
    assert stranger.post(f"{DOOR}?merchant={shop.pk}", {"verb": "address"}).status_code == 404
    assert not Merchant.objects.get(pk=shop.pk).nector_secrets


def test_what_came_is_listed_with_what_it_became_and_can_be_run_again(owner, stranger, viewer, shop):
    receipt = arrive(shop)
    failed = arrive(shop, "walletreward_create", {"customer": {"id": "7"}}, "d2")
    listed = html.unescape(owner.get(LIST).content.decode())
    assert "It says no amount of coins." in listed and "customer a@b.example" in listed
    change = reverse("admin:loyalty_webhookreceipt_change", args=[receipt.pk])
    shown = owner.get(change).content.decode()
    assert "Done" in shown and "(&#x27;done" not in shown and "&lt;b&gt;bold" in shown and "<b>bold" not in shown
    assert reverse("admin:loyalty_customer_change", args=[Customer.objects.get().pk]) in shown
    assert stranger.get(change).status_code in (302, 403, 404)
    for client, state in [(viewer, "failed"), (stranger, "failed"), (owner, "waiting")]:
        client.post(LIST, {"action": "run_again", "_selected_action": [failed.pk]})
        failed.refresh_from_db()
        assert failed.state == state


def test_topics_that_nobody_listens_to_can_be_made_triggers(owner, shop):
    integration = make.integration(shop)
    arrive(shop, "spin_wheel")
    DoorRefusal.objects.create(merchant=shop, day="2026-11-25", reason="secret", count=3)
    shown = page(owner)
    assert "spin_wheel" in shown and "The secret is missing or wrong" in shown
    address = re.search(r'href="([^"]*trigger=custom[^"]*)"', shown).group(1)
    form = owner.get(address).content.decode()
    assert 'value="custom:spin_wheel" selected' in form
    sketch = reverse("admin:events_eventdefinition_sketch")
    drawn = owner.get(sketch, {"integration": integration.pk, "trigger": "custom:spin_wheel", "name": ""}).content.decode()
    assert "spin_wheel" in drawn and "custom:spin_wheel" not in drawn
    values = {"integration": integration.pk, "trigger": "custom:spin_wheel", "name": "", "portal": "all", "enabled": "on"}
    owner.post(reverse("admin:events_eventdefinition_add"), values)
    made = EventDefinition.objects.get()
    assert (made.trigger, made.name) == ("custom:spin_wheel", "spin_wheel")
    assert owner.get(reverse("admin:events_eventdefinition_change", args=[made.pk])).status_code == 200
    assert owner.get(reverse("admin:events_eventdefinition_changelist")).status_code == 200


def test_an_empty_list_leads_to_the_door_and_nobody_without_a_merchant_gets_in(owner, db):
    assert DOOR in owner.get(LIST).content.decode()
    root = get_user_model().objects.create_superuser("root")
    client = Client()
    client.force_login(root)
    assert client.get(reverse("admin:loyalty_webhookreceipt_add")).status_code == 403, "what came, came"
    make.merchant("lonely")
    assert login("another", Merchant.objects.get(slug="lonely")).get(DOOR).status_code == 200


def test_secrets_that_no_key_reads_are_said_to_be_so_and_keeping_the_newest_breaks_no_page(owner, shop, use_keys):
    page(owner, verb="secret")
    use_keys("z" * 40)
    assert "The stored secrets cannot be read, so nobody can come in." in page(owner)
    assert "cannot be read" in page(owner, verb="keep")
