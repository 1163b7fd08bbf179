"""The audit trail: written where something is done, never changed, without secrets, for the merchant whose it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from integrations import logins
from integrations.audit import note
from integrations.models import Act, AppendOnly, AuditEntry, Integration, Membership, Merchant, Status
from integrations.tests.conftest import CANARY
from integrations.tests.test_admin_setup import save, url_of
from integrations.verification import set_status


def acts() -> list[tuple[str, str, str]]:
    """Return who did what to what, in order, log-ins and memberships left out."""
    quiet = (Act.LOGIN, Act.STAFF_ADDED)
    return list(AuditEntry.objects.exclude(act__in=quiet).order_by("id").values_list("actor_name", "act", "subject"))


@pytest.fixture
def entry(merchant) -> AuditEntry:
    return note(Act.PAUSE, merchant)


def execute(statement: str) -> None:
    """Do as somebody would who only has SQL."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_an_emptied_database_keeps_its_trail_again(merchant):
    note(Act.PAUSE, merchant)
    call_command("flush", interactive=False, verbosity=0)
    assert not AuditEntry.objects.exists()

    note(Act.RESUME, None)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        execute("DELETE FROM integrations_auditentry")
    assert AuditEntry.objects.count() == 1


class TestAppendOnly:
    """What is written stays."""

    def test_the_model_refuses_to_change_or_delete(self, entry):
        entry.actor_name = "somebody else"
        rows = AuditEntry.objects.all()
        attempts = [
            entry.save,
            entry.delete,
            rows.delete,
            lambda: rows.update(actor_name="x"),
            lambda: rows.bulk_update([entry], ["actor_name"]),
            lambda: AuditEntry.objects.update_or_create(pk=entry.pk, defaults={"actor_name": "x"}),
        ]

        for attempt in attempts:
            with pytest.raises(AppendOnly):
                attempt()
        assert AuditEntry.objects.get(pk=entry.pk).actor_name == ""

    def test_the_database_refuses_to_change(self, entry):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            execute("UPDATE integrations_auditentry SET actor_name = 'x'")
        assert AuditEntry.objects.get(pk=entry.pk).actor_name == ""

    def test_the_database_refuses_to_delete_what_is_young(self, entry):
        for attempt in (lambda: AuditEntry.objects.all().purge(10), lambda: execute("DELETE FROM integrations_auditentry")):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                attempt()
        assert AuditEntry.objects.filter(pk=entry.pk).exists()

    def test_sqlite_refuses_to_write_over_an_entry(self, entry):
        if connection.vendor != "sqlite":
            return  # there is no such statement
        columns = "id, at, actor_name, act, subject_type, subject_key, subject, fields, details"
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            execute(
                f"INSERT OR REPLACE INTO integrations_auditentry ({columns}) SELECT id, at, 'x', act, '', '', '', '[]', '{{}}'"
                " FROM integrations_auditentry"
            )
        assert AuditEntry.objects.get(pk=entry.pk).actor_name == ""

    def test_what_is_old_can_be_given_up(self, merchant):
        AuditEntry.objects.create(act=Act.PAUSE, merchant=merchant, at=timezone.now() - timedelta(days=40))

        assert AuditEntry.objects.filter(act=Act.PAUSE).purge(10) == 1

    def test_it_outlives_whoever_and_whatever(self, merchant):
        user = User.objects.create_user("gone", is_staff=True)
        row = note(Act.PAUSE, merchant, actor=user)

        user.delete()
        merchant.delete()

        kept = AuditEntry.objects.get(pk=row.pk)
        assert (kept.actor_name, kept.subject) == ("gone", "Acme India")


class TestWhatIsNoted:
    """Who, what, on what, which fields; never a value of a secret."""

    def test_a_changed_setting_by_its_name_and_a_secret_by_its_name(self, staff, integration):
        save(staff, integration, account_id="K97-K78-9999", private_api_key="CANARY-ANOTHER-1")

        rows = list(AuditEntry.objects.filter(act__in=[Act.CHANGED, Act.SECRET]).order_by("id"))
        assert [(row.act, row.actor_name, row.subject) for row in rows] == [
            (Act.CHANGED, "owner-acme", "CleverTap · Acme India"),
            (Act.SECRET, "owner-acme", "CleverTap · Acme India"),
        ]
        assert rows[1].fields == ["Private API Key (CleverTap: Passcode)"]
        assert set(rows[1].fields) < set(rows[0].fields)
        assert rows[0].address == "127.0.0.1"
        stored = str([list(row.__dict__.values()) for row in AuditEntry.objects.all()])
        for secret in (CANARY, "CANARY-ANOTHER-1", "K97-K78-9999"):
            assert secret not in stored

    def test_the_verbs(self, staff, integration):
        set_status(integration, Status.ACTIVE, initialized_at=timezone.now())
        for verb in ("pause", "resume", "initialize", "disconnect"):
            staff.post(url_of(integration, verb))
            if verb == "initialize":
                set_status(integration, Status.ACTIVE)

        assert [act for _who, act, _what in acts()] == [Act.PAUSE, Act.RESUME, Act.INITIALIZE, Act.DISCONNECT]
        assert {who for who, _act, _what in acts()} == {"owner-acme"}

    def test_what_is_refused_is_not_noted(self, viewer, stranger, integration):
        set_status(integration, Status.ACTIVE, initialized_at=timezone.now())
        for client in (viewer, stranger):
            for verb in ("pause", "initialize", "disconnect"):
                client.post(url_of(integration, verb))

        assert acts() == []

    def test_what_the_system_does_has_no_name(self, integration):
        integration.initialize()

        row = AuditEntry.objects.get(act=Act.INITIALIZE)
        assert (row.actor, row.actor_name, row.address) == (None, "", None)
        assert row.details == {"result": "refused"}

    def test_a_draft_that_is_made_and_a_merchant_that_is_changed(self, staff, merchant):
        staff.post(reverse("admin:integrations_integration_configure"), {"merchant": merchant.pk, "provider": "wigzo"})
        values = {"name": "Acme", "timezone": "Asia/Kolkata", "currency": "INR", "coin_name": "stars"}
        staff.post(reverse("admin:integrations_merchant_change", args=[merchant.pk]), values)

        assert [(act, what) for _who, act, what in acts()] == [(Act.ADDED, "Wigzo · Acme India"), (Act.CHANGED, "Acme")]


class TestStaff:
    """Log-ins and memberships."""

    def test_log_ins_log_outs_and_failures(self, merchant, other_merchant):
        user = User.objects.create_user("asha", password="right", is_staff=True)
        for each in (merchant, other_merchant):
            Membership.objects.create(merchant=each, user=user)
        client, url = Client(), reverse("admin:login")
        cache.clear()  # what failed in this minute is counted

        client.post(url, {"username": "asha", "password": "CANARY-WRONG"})
        client.post(url, {"username": "CANARY-PASSWORD-IN-THE-WRONG-BOX", "password": "x"})
        client.post(url, {"username": "asha", "password": "right"})
        client.post(reverse("admin:logout"))

        mine = AuditEntry.objects.filter(merchant=merchant).exclude(act=Act.STAFF_ADDED).order_by("id")
        assert list(mine.values_list("act", "actor_name", "address")) == [
            (Act.LOGIN_FAILED, "asha", "127.0.0.1"),
            (Act.LOGIN, "asha", "127.0.0.1"),
            (Act.LOGOUT, "asha", "127.0.0.1"),
        ]
        assert AuditEntry.objects.filter(merchant=other_merchant).count() == 4
        unknown = AuditEntry.objects.get(merchant=None)
        assert (unknown.act, unknown.actor_name) == (Act.LOGIN_FAILED, "")
        assert "CANARY" not in str(list(AuditEntry.objects.values()))

    def test_a_flood_of_wrong_passwords_does_not_fill_the_table(self, db, monkeypatch):
        monkeypatch.setattr(logins, "MOST_FAILED_A_MINUTE", 3)
        cache.clear()
        for number in range(12):
            Client().post(reverse("admin:login"), {"username": f"nobody{number}", "password": "x"})

        assert AuditEntry.objects.count() in (3, 6)  # a minute may have ended between

    def test_who_joins_changes_and_leaves(self, merchant):
        user = User.objects.create_user("asha", is_staff=True)
        membership = Membership.objects.create(merchant=merchant, user=user, role="viewer")
        membership.role = "manager"
        membership.save()
        membership.delete()

        rows = AuditEntry.objects.order_by("id").values_list("act", "details", "subject")
        assert list(rows) == [
            (Act.STAFF_ADDED, {"role": "viewer"}, "asha · Acme India"),
            (Act.ROLE, {"role": "manager"}, "asha · Acme India"),
            (Act.STAFF_REMOVED, {"role": "manager"}, "asha · Acme India"),
        ]


def test_a_deleted_integration_is_noted(administrator, integration):
    administrator.post(url_of(integration, "delete"), {"post": "yes"})

    assert not Integration.objects.exists()
    assert acts() == [("root", Act.DELETED, "CleverTap · Acme India")]
    assert AuditEntry.objects.get(act=Act.DELETED).merchant == Merchant.objects.get()
