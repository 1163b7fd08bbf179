"""Nobody finds or changes anything of another merchant, at any address of the admin, whatever their role."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import path, reverse
from unfold.admin import ModelAdmin

from events.models import Suppression
from integrations.scope import AdministratorsOnly, ScopedAdmin
from nectorbridge import urls
from nectorbridge.tests.tenancy.walk import acts, addresses, bare, harvest, looks, moved, questions, swapped, text_of
from nectorbridge.tests.tenancy.world import World

ROLES = ("owner", "manager", "viewer")


@pytest.fixture
def theirs(db) -> World:
    return World("zqtheirs", 770001)


@pytest.fixture
def ours(theirs) -> World:
    return World("zqours", 880001)


@pytest.fixture
def theirs_posts(theirs) -> list[Any]:
    """All that their owner can post."""
    return harvest(theirs)


@pytest.fixture
def our_posts(ours, theirs, theirs_posts) -> list[Any]:
    """All that our owner can post: what theirs can, since their rows are alike."""
    return moved(theirs_posts, theirs, ours)


def registered(model_admin: Any, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """Have one more admin, with addresses, for as long as a test takes."""
    admin.site.register(Suppression, model_admin)
    module = types.ModuleType("one_admin_more")
    others = [each for each in urls.urlpatterns if getattr(each, "app_name", "") != "admin"]
    module.urlpatterns = [*others, path("admin/", admin.site.urls)]
    monkeypatch.setitem(sys.modules, "one_admin_more", module)
    settings.ROOT_URLCONF = "one_admin_more"
    yield
    admin.site.unregister(Suppression)


@pytest.fixture
def unscoped(monkeypatch, settings):
    yield from registered(ModelAdmin, monkeypatch, settings)


@pytest.fixture
def pathless(monkeypatch, settings):
    yield from registered(type("Pathless", (ScopedAdmin,), {}), monkeypatch, settings)


def loose() -> list[str]:
    """Return the admins that are neither in scope nor for administrators only."""
    return [
        model._meta.label
        for model, each in admin.site._registry.items()
        if not isinstance(each, AdministratorsOnly) and not (isinstance(each, ScopedAdmin) and each.merchant_path)
    ]


def test_every_admin_is_scoped_or_for_administrators_only():
    assert loose() == []


@pytest.mark.parametrize("role", ROLES)
def test_nothing_of_another_merchant_is_found(role, ours, theirs):
    assert looks(ours.staff("me", zqours=role), theirs, addresses(theirs)) == []


def test_no_question_is_answered_about_another_merchant(ours, theirs):
    assert looks(ours.staff("me", zqours="owner"), theirs, questions(theirs)) == []


@pytest.mark.parametrize("role", ROLES)
def test_nothing_of_another_merchant_is_changed(role, ours, theirs, theirs_posts, our_posts):
    posts = [*theirs_posts, *swapped(our_posts, ours, theirs)]

    assert acts(ours.staff("me", zqours=role), theirs, posts) == []


def test_no_address_takes_another_merchants_keys(ours, theirs):
    assert acts(ours.staff("me", zqours="owner"), theirs, bare(theirs)) == []


def test_staff_of_no_merchant_find_and_change_nothing(theirs, theirs_posts):
    nobody = theirs.staff("nobody")

    assert looks(nobody, theirs, addresses(theirs)) == []
    assert acts(nobody, theirs, theirs_posts) == []


def test_a_manager_here_who_looks_on_there_changes_nothing_there(ours, theirs, theirs_posts, our_posts):
    both = ours.staff("both", zqours="manager", zqtheirs="viewer")
    posts = [*theirs_posts, *swapped(our_posts, ours, theirs), *bare(theirs)]

    assert acts(both, theirs, posts, may_look=True) == []


def test_a_viewer_changes_nothing_of_their_own_merchant(ours, our_posts):
    assert acts(ours.staff("me", zqours="viewer"), ours, [*our_posts, *bare(ours)], may_look=True) == []


def test_anonymous_visitors_find_and_change_nothing(theirs, theirs_posts):
    visitor = Client(raise_request_exception=False)

    assert looks(visitor, theirs, addresses(theirs)) == []
    assert acts(visitor, theirs, theirs_posts) == []


# --- The walk itself is not blind ----------------------------------------------------------------------------------------
def test_the_walk_sees_every_list_and_page_that_an_owner_sees(theirs):
    owner = theirs.staff("their-owner", zqtheirs="owner")
    seen = {line.split()[1].rstrip(":") for line in looks(owner, theirs, addresses(theirs))}

    scoped = [each for each in admin.site._registry.values() if isinstance(each, ScopedAdmin)]
    assert {reverse(f"admin:{each.opts.app_label}_{each.opts.model_name}_changelist") for each in scoped} <= seen
    assert {reverse("admin:index"), reverse("admin:events_eventdelivery_export")} <= seen
    assert len(seen) > 60


def test_the_walk_sees_sums_in_charts(theirs):
    owner = theirs.staff("their-owner", zqtheirs="owner")

    for name, arguments in (("admin:index", []), ("admin:events_statistics", [theirs.key])):
        assert f"{theirs.sum:,}" in text_of(owner.get(reverse(name, args=arguments)))


def test_the_walk_posts_what_really_changes_something(theirs, theirs_posts):
    owner = theirs.staff("another-owner", zqtheirs="owner")
    changing = {line.split()[1].rstrip(":") for line in acts(owner, theirs, theirs_posts, may_look=True)}

    assert len(changing) > 35


def test_whatever_an_owner_changes_is_in_the_audit_trail(theirs, theirs_posts):
    owner = theirs.staff("another-owner", zqtheirs="owner")

    changes = [line for line in acts(owner, theirs, theirs_posts, may_look=True) if "changed" in line]
    unseen = [line for line in changes if "integrations.AuditEntry" not in line and "changed ['admin.LogEntry']" not in line]

    assert unseen == []


def test_an_admin_that_forgot_its_scope_is_found(ours, theirs, unscoped):
    me, address = ours.staff("me", zqours="viewer"), "/admin/events/suppression/"

    found = looks(me, theirs, addresses(theirs))
    changed = [line for line in acts(me, theirs, bare(theirs)) if "changed" in line]

    assert loose() == ["events.Suppression"]
    assert {line.split()[1] for line in found} >= {f"{address}:", f"{address}{theirs.key}/change/:"}
    assert {line.split()[1] for line in changed} >= {f"{address}{theirs.key}/delete/:"}


def test_an_admin_that_forgot_whose_rows_they_are_shows_none_and_is_found(ours, theirs, pathless):
    found = looks(ours.staff("me", zqours="viewer"), theirs, addresses(theirs))

    assert loose() == ["events.Suppression"]
    assert {line.split(": ", 1)[1] for line in found} == {"500 []"}
