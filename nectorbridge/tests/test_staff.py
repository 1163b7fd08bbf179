"""Staff across the whole installation: what stands in their side bar, and what administrators do with users."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from integrations.models import Act, AuditEntry, Membership
from nectorbridge.testing import make


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize(
    ("role", "sees"), [("owner", {"merchant", "auditentry"}), ("manager", {"merchant"}), ("viewer", {"merchant"})]
)
def test_the_side_bar_has_what_a_role_may_open(db, role, sees):
    user = User.objects.create_user("asha", is_staff=True)
    Membership.objects.create(merchant=make.merchant(), user=user, role=role)

    page = browser(user).get(reverse("admin:events_eventdefinition_changelist")).content.decode()

    shown = {name for name in ("merchant", "auditentry") if reverse(f"admin:integrations_{name}_changelist") in page}
    assert shown == sees


def test_users_that_administrators_make_are_noted(db):
    password = "a-Long-Enough-Word-7"
    values = {"username": "newcomer", "password1": password, "password2": password, "usable_password": "true"}

    browser(User.objects.create_superuser("root")).post(reverse("admin:auth_user_add"), values)

    entry = AuditEntry.objects.get(act=Act.ADDED)
    assert (entry.actor_name, entry.subject, entry.merchant) == ("root", "newcomer", None)
    assert password not in str(list(AuditEntry.objects.values()))
