"""The page “Coming back”: addresses, who may call them, what came, and who may change it."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from events import callbacks
from events.admin.coming_back_page import address_of
from events.models import CallbackReceipt
from integrations.models import Integration, Membership
from nectorbridge.testing import make


def page(integration):
    return reverse("admin:events_coming_back", args=[integration.pk])


def words(answer):
    return unescape(answer.content.decode())


@pytest.mark.parametrize(
    ("provider", "kinds"),
    [
        ("moengage", [""]),
        ("clevertap", ["open", "click", "unsubscribe"]),
        ("wigzo", [""]),
        ("contlo", [""]),
        ("mailmodo", ["open", "click", "unsubscribe", "complaint", "bounce", "delivered"]),
    ],
)
def test_every_provider_has_its_addresses_and_they_answer(db, owner, integration, provider, kinds):
    Integration.objects.filter(pk=integration.pk).update(provider=provider)
    integration.refresh_from_db()
    shown = words(owner.get(page(integration)))
    for kind in kinds:
        address = address_of(integration, kind)
        assert f">{address}<" in shown
        path = re.sub("^https?://[^/]+", "", address)
        assert Client().post(path, b"{}", content_type="application/json").status_code == 200
    assert "No callback has come yet" in shown and "nector_click_url" in shown


def test_what_came_is_listed_with_what_it_became(owner, integration):
    Client().post(
        f"/callbacks/{integration.provider}/{integration.callback_token}/open/",
        b'[{"email": "x@y.example"}, {}]',
        content_type="application/json",
    )
    callbacks.work(integration.pk)
    context = owner.get(page(integration)).context
    assert [(row.word, row.kind, row.numbers) for row in context["receipts"]] == [("Done", "Open", ["0", "2", "0", "0"])]
    assert context["counts"] == ["0", "2", "0", "0"] and context["last"]


def test_the_authentication_is_set_shown_masked_replaced_and_taken_away(owner, integration):
    answer = owner.post(page(integration), {"verb": "auth", "auth": "moe:CANARY-4f2a"}, follow=True)
    assert "CANARY" not in words(answer) and "4f2a" in words(answer)
    assert Integration.objects.get().callback_auth == "moe:CANARY-4f2a"
    owner.post(page(integration), {"verb": "auth", "auth": "short"})
    assert Integration.objects.get().callback_auth == "moe:CANARY-4f2a"
    owner.post(page(integration), {"verb": "open"})
    assert Integration.objects.get().callback_auth == ""


def test_one_that_cannot_be_read_breaks_nothing(owner, integration):
    other = make.integration(make.merchant("other"))
    other.callback_auth = "moe:something"
    Integration.objects.filter(pk=integration.pk).update(sealed_callback_auth=other.sealed_callback_auth)
    assert "cannot be read" in words(owner.get(page(integration)))


def test_a_new_address_ends_the_former_one(owner, integration):
    former = f"/callbacks/{integration.provider}/{integration.callback_token}/"
    owner.post(page(integration), {"verb": "address"})
    integration.refresh_from_db()
    assert Client().post(former, b"{}", content_type="application/json").status_code == 404
    assert integration.callback_token in words(owner.get(page(integration)))


def test_what_failed_is_worked_on_once_more(owner, integration):
    CallbackReceipt.objects.create(integration=integration, digest="x", body="[]", state="failed", next_try_at=None)
    assert "once more" in words(owner.get(page(integration)))
    owner.post(page(integration), {"verb": "again"})
    callbacks.work(integration.pk)
    assert CallbackReceipt.objects.get().state == "done"


def test_viewers_look_and_strangers_do_not(owner, stranger, client, integration):
    Membership.objects.filter(merchant=integration.merchant).update(role="viewer")
    shown = words(owner.get(page(integration)))
    assert "callback-auth" not in shown and "Make new addresses" not in shown
    assert owner.post(page(integration), {"verb": "address"}).status_code == 403
    assert stranger.get(page(integration)).status_code == 404 == stranger.post(page(integration), {"verb": "open"}).status_code
    assert client.get(page(integration)).status_code == 302
