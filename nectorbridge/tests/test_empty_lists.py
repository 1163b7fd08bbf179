"""Every list with nothing to show says what it will hold and what to do first. A new admin without such words fails."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from events.models import ContactSync, KeyRotation
from integrations.models import AuditEntry, Integration, Membership, Role
from nectorbridge.testing import make

ADMINS = sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label)
OWN_PAGES = {  # whose list is a page of its own: what that says
    Integration: ("No merchant yet", "Create the first merchant"),
    ContactSync: ("There is none yet. Connect a provider under Integrations first.", "Open integrations"),
    KeyRotation: ("Nothing was re-encrypted yet.", "Begin"),
}


def path(model) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.fixture
def administrator(db) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize(("model", "model_admin"), ADMINS, ids=[model._meta.label for model, _admin in ADMINS])
def test_an_empty_list_says_what_to_do_first(administrator, model, model_admin, monkeypatch):
    if model not in OWN_PAGES:
        make.merchant()
    monkeypatch.setattr(type(model_admin), "get_queryset", lambda self, request: model._default_manager.none())
    answer = administrator.get(path(model))
    text = answer.content.decode()
    if model in OWN_PAGES:
        assert all(words in text for words in OWN_PAGES[model])
        return
    assert "%(" not in text
    title, words, first = (answer.context[f"empty_{name}"] for name in ("title", "text", "action"))
    assert title and escape(title) in text
    assert words and escape(words) in text
    assert first and escape(first[1]) in text
    assert administrator.get(first[0]).status_code == 200


def test_the_words_are_not_shown_above_rows(administrator):
    make.integration()
    for model in (Group, User):
        answer = administrator.get(path(model))
        assert answer.context["empty_title"] not in answer.content.decode()


@pytest.mark.parametrize("role", Role)
def test_nobody_is_sent_where_they_may_not_go(db, role):
    user = User.objects.create_user("clerk", is_staff=True)
    Membership.objects.create(merchant=make.merchant(), user=user, role=role)
    client, seen = Client(), 0
    client.force_login(user)
    for model, _model_admin in ADMINS:
        answer = client.get(path(model))
        first = answer.context.get("empty_action") if answer.status_code == 200 and answer.context else None
        if first and model is not AuditEntry:
            seen += 1
            assert client.get(first[0]).status_code == 200, model
    assert seen > 5


def test_a_search_that_finds_nothing_is_no_empty_list(administrator):
    answer = administrator.get(path(User), {"q": "nobody-of-that-name"}).content.decode()
    assert "Nothing matches" in answer and "Show all" in answer
