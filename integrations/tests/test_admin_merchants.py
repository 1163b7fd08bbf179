"""The merchants' pages: administrators decide who belongs where, owners and managers look after their own."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from integrations.models import Membership, Merchant
from integrations.tests.conftest import member

LIST = reverse("admin:integrations_merchant_changelist")
VALUES = {
    "name": "Acme Bharat",
    "website": "https://acme.example",
    "timezone": "Asia/Kolkata",
    "currency": "inr",
    "coin_name": "stars",
}


def url_of(merchant, verb="change") -> str:
    return reverse(f"admin:integrations_merchant_{verb}", args=[merchant.pk])


@pytest.mark.parametrize("role", ["owner", "manager"])
def test_owners_and_managers_change_their_own_merchant(merchant, role):
    client = member(merchant, role)

    answer = client.post(url_of(merchant), VALUES | {"slug": "stolen", "platform": "custom"})

    assert answer.status_code == 302
    merchant.refresh_from_db()
    assert (merchant.name, merchant.currency, merchant.coin_name) == ("Acme Bharat", "INR", "stars")
    assert (merchant.slug, merchant.platform) == ("acme", "shopify")


def test_a_viewer_looks_and_changes_nothing(viewer, merchant):
    assert viewer.get(url_of(merchant)).status_code == 200
    assert viewer.post(url_of(merchant), VALUES).status_code == 403
    merchant.refresh_from_db()
    assert merchant.name == "Acme India"


def test_another_merchant_is_neither_listed_nor_opened(stranger, merchant):
    assert b"Acme India" not in stranger.get(LIST).content
    for verb in ("change", "history", "delete"):
        for answer in (stranger.get(url_of(merchant, verb)), stranger.post(url_of(merchant, verb), VALUES)):
            assert answer.status_code in (302, 403, 404)
            assert b"Acme India" not in answer.content
    merchant.refresh_from_db()
    assert merchant.name == "Acme India"


def test_staff_neither_add_nor_delete(staff, merchant):
    assert staff.get(reverse("admin:integrations_merchant_add")).status_code == 403
    assert staff.post(url_of(merchant, "delete"), {"post": "yes"}).status_code == 403


def test_staff_cannot_let_themselves_into_more(staff, merchant):
    user = User.objects.create_user("friend", is_staff=True)
    formset = {
        "membership_set-TOTAL_FORMS": "1",
        "membership_set-INITIAL_FORMS": "0",
        "membership_set-0-user": user.pk,
        "membership_set-0-role": "owner",
    }

    assert b"membership_set" not in staff.get(url_of(merchant)).content
    staff.post(url_of(merchant), VALUES | formset)

    assert Membership.objects.filter(merchant=merchant).count() == 1


@pytest.mark.parametrize(("name", "value"), [("timezone", "Mars/Olympus"), ("currency", "₹₹₹"), ("currency", "IN")])
def test_a_wrong_value_is_refused(staff, merchant, name, value):
    answer = staff.post(url_of(merchant), VALUES | {name: value})

    assert answer.status_code == 200
    merchant.refresh_from_db()
    assert merchant.name == "Acme India"


def test_an_administrator_adds_a_merchant_and_its_staff(administrator, merchant):
    user = User.objects.create_user("newcomer", is_staff=True)
    formset = {
        "membership_set-TOTAL_FORMS": "1",
        "membership_set-INITIAL_FORMS": "0",
        "membership_set-0-user": user.pk,
        "membership_set-0-role": "manager",
    }

    answer = administrator.post(
        reverse("admin:integrations_merchant_add"), VALUES | formset | {"slug": "bharat", "platform": "custom"}
    )

    assert answer.status_code == 302
    assert Merchant.objects.get(slug="bharat").staff.get() == user


def staff_form(merchant, *rows):
    """Return the merchant's page as an administrator sends it: each row is (membership, what is changed of it)."""
    form = {f"membership_set-{name}_FORMS": str(len(rows)) for name in ("TOTAL", "INITIAL")}
    for number, (row, changed) in enumerate(rows):
        values = {"id": row.pk, "merchant": merchant.pk, "user": row.user_id, "role": row.role} | changed
        form |= {f"membership_set-{number}-{name}": value for name, value in values.items()}
    return VALUES | {"slug": merchant.slug, "platform": "shopify", "cap_hours": "24", "open_tracking": "everybody"} | form


@pytest.fixture
def people(merchant):
    """An owner who can log in, one who cannot any more, and a manager."""
    kinds = (("asha", "owner", True), ("gone", "owner", False), ("ravi", "manager", True))
    users = [(User.objects.create_user(name, is_staff=True, is_active=active), role) for name, role, active in kinds]
    return [Membership.objects.create(merchant=merchant, user=user, role=role) for user, role in users]


@pytest.mark.parametrize("change", [{"DELETE": "on"}, {"role": "manager"}])
def test_not_even_an_administrator_takes_the_last_owner_away(admin_client, merchant, people, change):
    owner, gone, manager = people

    refused = admin_client.post(url_of(merchant), staff_form(merchant, (owner, change), (gone, {}), (manager, {})))

    assert refused.status_code == 200 and "This is the last owner. Make somebody else an owner first." in refused.content.decode()
    assert Membership.objects.get(pk=owner.pk).role == "owner"

    taken = admin_client.post(url_of(merchant), staff_form(merchant, (owner, change), (gone, {}), (manager, {"role": "owner"})))

    assert taken.status_code == 302
    assert Membership.objects.get(pk=manager.pk).role == "owner"
    assert not Membership.objects.filter(pk=owner.pk, role="owner").exists()


def test_a_merchant_whose_owners_all_left_can_still_be_changed(admin_client, merchant, people):
    owner, gone, manager = people
    User.objects.filter(pk=owner.user_id).update(is_active=False)

    answer = admin_client.post(url_of(merchant), staff_form(merchant, (owner, {"DELETE": "on"}), (gone, {}), (manager, {})))

    assert answer.status_code == 302 and not Membership.objects.filter(pk=owner.pk).exists()
