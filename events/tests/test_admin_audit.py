"""The page of the audit trail: whose entries are shown to whom, and that nobody edits one."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from events.tests.conftest import login
from integrations.audit import note
from integrations.models import Act, AuditEntry
from nectorbridge.testing import make

LIST = reverse("admin:integrations_auditentry_changelist")


@pytest.fixture
def administrator(db) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


def page(entry: AuditEntry, verb: str = "change") -> str:
    return reverse(f"admin:integrations_auditentry_{verb}", args=[entry.pk])


@pytest.mark.parametrize(("role", "sees"), [("owner", True), ("manager", False), ("viewer", False)])
def test_owners_read_the_trail_of_their_merchant(integration, role, sees):
    note(Act.PAUSE, integration)
    hidden = note(Act.PAUSE, make.integration(make.merchant("zebra")))
    client = login("reader", integration.merchant, role)

    answer = client.get(LIST)

    assert (answer.status_code == 200) == sees
    assert (b"CleverTap" in answer.content and b"Paused" in answer.content) == sees
    assert b"Zebra" not in answer.content
    assert client.get(page(hidden)).status_code in (302, 403, 404)


def test_it_is_searched_and_filtered(owner, integration):
    note(Act.PAUSE, integration, actor=get_user_model().objects.create_user("bela"))
    note(Act.EXPORT, integration.merchant, what="deliveries")

    def shown(query: str) -> list[str]:
        rows = owner.get(f"{LIST}?{query}").context["cl"].result_list
        return [row.act for row in rows if row.act in (Act.PAUSE, Act.EXPORT)]

    assert shown("q=bela") == [Act.PAUSE]
    assert shown("act__exact=export") == [Act.EXPORT]
    assert shown("") == [Act.EXPORT, Act.PAUSE]


def test_nobody_edits_or_deletes(administrator, owner, integration):
    entry = note(Act.PAUSE, integration)
    for client in (administrator, owner):
        assert 'name="_save"' not in client.get(page(entry)).content.decode()
        for verb in ("change", "delete"):
            assert client.post(page(entry, verb), {"post": "yes", "actor_name": "x"}).status_code == 403
        client.post(LIST, {"action": "delete_selected", "_selected_action": [entry.pk]})
    assert AuditEntry.objects.get(pk=entry.pk).act == Act.PAUSE


def test_an_entry_whose_merchant_is_gone_is_still_shown(administrator):
    merchant = make.merchant("vanished")
    note(Act.CHANGED, merchant)
    merchant.delete()

    assert b"Vanished" in administrator.get(LIST).content
