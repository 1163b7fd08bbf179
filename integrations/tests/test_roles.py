"""Roles are per merchant: their groups hold the model permissions, and a membership says where they count."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from integrations.models import Integration, Membership, Merchant, Role
from integrations.roles import GROUPS, declared, keys_with, restore
from integrations.tests.conftest import member

CHANGE, VIEW = "integrations.change_integration", "integrations.view_integration"


def held(role: str) -> dict[str, set[str]]:
    """Return what a role's group holds, by app."""
    found: dict[str, set[str]] = {}
    for permission in Group.objects.get(name=GROUPS[Role(role)]).permissions.select_related("content_type"):
        found.setdefault(permission.content_type.app_label, set()).add(permission.codename)
    return found


def expected(role: str) -> dict[str, set[str]]:
    """Return what the admins declare for a role, in the same shape."""
    return {
        label: {f"{verb}_{model}" for model, verbs in roles[role].items() for verb in verbs}
        for label, roles in declared().items()
        if role in roles
    }


@pytest.fixture
def both(merchant, other_merchant) -> User:
    """A manager of one merchant who is a viewer of another."""
    user = User.objects.create_user("both", is_staff=True)
    Membership.objects.create(merchant=merchant, user=user, role="manager")
    Membership.objects.create(merchant=other_merchant, user=user, role="viewer")
    return user


@pytest.fixture
def theirs(other_merchant) -> Integration:
    """An integration where that person is a viewer."""
    return Integration.objects.create(merchant=other_merchant, provider="clevertap", settings={"account_id": "Z"})


@pytest.mark.django_db
@pytest.mark.parametrize("role", Role.values)
def test_the_migrations_give_each_role_what_the_admins_declare(role):
    assert held(role) == expected(role)


@pytest.mark.django_db
def test_groups_that_are_missing_are_made_again_and_others_stay_as_they_are():
    Group.objects.get(name="Viewer").permissions.clear()
    Group.objects.get(name="Manager").delete()

    restore()

    assert held("manager") == expected("manager")
    assert held("viewer") == {}


@pytest.mark.django_db(transaction=True)
def test_an_emptied_database_has_the_groups_again():
    call_command("flush", interactive=False, verbosity=0)

    assert {role: held(role) for role in Role.values} == {role: expected(role) for role in Role.values}


def test_a_permission_counts_at_the_merchant_of_the_row(both, integration, theirs, merchant, other_merchant):
    assert both.has_perm(CHANGE)
    assert both.has_perm(CHANGE, integration)
    assert both.has_perm("integrations.change_merchant", merchant)
    assert not both.has_perm(CHANGE, theirs)
    assert both.has_perm(VIEW, theirs)
    assert keys_with(both, CHANGE) == [merchant.pk]
    assert keys_with(both, VIEW) == sorted([merchant.pk, other_merchant.pk])


@pytest.mark.django_db
def test_nobody_else_has_a_permission(integration, merchant):
    outsider = User.objects.create_user("outsider", is_staff=True)
    retired = User.objects.create_user("retired", is_staff=True, is_active=False)
    customer = User.objects.create_user("customer")
    for user in (retired, customer):
        Membership.objects.create(merchant=merchant, user=user, role="owner")

    for user in (outsider, retired, customer, AnonymousUser()):
        assert not user.has_perm(VIEW)
        assert not user.has_perm(VIEW, integration)


def test_a_manager_here_who_is_a_viewer_there_acts_here_only(both, integration, theirs):
    client = Client()
    client.force_login(both)

    def post(row: Integration, verb: str) -> int:
        return client.post(reverse(f"admin:integrations_integration_{verb}", args=[row.pk])).status_code

    assert {post(theirs, verb) for verb in ("change", "initialize", "pause", "resume", "discard", "disconnect")} == {403}
    assert {post(integration, verb) for verb in ("pause", "resume", "discard")} == {302}
    assert client.get(reverse("admin:integrations_integration_change", args=[theirs.pk])).status_code == 200
    posted = {"name": "Stolen", "timezone": "UTC", "currency": "USD", "coin_name": "coins"}
    answer = client.post(reverse("admin:integrations_merchant_change", args=[theirs.merchant_id]), posted)
    assert answer.status_code == 403
    assert not Merchant.objects.filter(name="Stolen").exists()


def test_what_is_taken_from_a_group_nobody_of_that_role_may_do(merchant, integration):
    client, url = member(merchant, "manager"), reverse("admin:integrations_integration_change", args=[integration.pk])
    assert client.get(url).status_code == 200
    group = Group.objects.get(name="Manager")

    group.permissions.remove(Permission.objects.get(codename="change_integration"))
    assert client.post(url, {}).status_code == 403
    assert client.get(url).status_code == 200

    group.permissions.remove(Permission.objects.get(codename="view_integration"))
    assert client.get(url).status_code in (302, 404)


def test_a_group_gives_no_more_than_the_page_lists(merchant, integration):
    Group.objects.get(name="Viewer").permissions.set(Permission.objects.all())
    client = member(merchant, "viewer")

    assert (
        client.post(reverse("admin:integrations_integration_delete", args=[integration.pk]), {"post": "yes"}).status_code == 403
    )
    assert Integration.objects.filter(pk=integration.pk).exists()
