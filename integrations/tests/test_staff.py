"""Owners invite, change roles and remove; the link works once; the last owner stays; nobody learns who has an account."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from integrations import staff as service
from integrations.models import Act, AuditEntry, Invitation, Membership, Role
from integrations.tests.conftest import member

INVITE = reverse("admin:integrations_invitation_add")
INVITATIONS = reverse("admin:integrations_invitation_changelist")
PASSWORD = "a-Long-Enough-Word-7"
MAIL = "bela@acme.example"
NEW = {"name": "Bela Rao", "password": PASSWORD, "again": PASSWORD}


def page(row, verb="change") -> str:
    return reverse(f"admin:integrations_{row._meta.model_name}_{verb}", args=[row.pk])


def invite(client, merchant, email="bela@acme.example", role="manager"):
    return client.post(INVITE, {"merchant": merchant.pk, "email": email, "role": role}, follow=True)


def link(number=-1) -> str:
    """Return the address in a mail, without the host."""
    found = re.search(r"https?://\S+", mail.outbox[number].body).group()
    return found.removeprefix(django_settings.PUBLIC_URL)


def roles(merchant) -> dict[str, str]:
    return dict(Membership.objects.filter(merchant=merchant).values_list("user__username", "role"))


def test_the_list_counts_at_its_foot_alone(staff, merchant):
    page = staff.get(reverse("admin:integrations_membership_changelist")).content.decode()
    assert "member of staff" in page and "Show all" not in page


class TestInvite:
    """What an owner does, and what leaves."""

    def test_a_newcomer_sets_a_password_and_is_in_the_staff(self, staff, merchant):
        answer = invite(staff, merchant)
        assert "An invitation is on its way to bela@acme.example." in answer.content.decode()
        assert [letter.to for letter in mail.outbox] == [["bela@acme.example"]]
        assert "Acme India" in mail.outbox[0].subject
        assert mail.outbox[0].extra_headers == {"Auto-Submitted": "auto-generated"}

        visitor = Client()
        shown = visitor.get(link())
        assert (shown.status_code, b"Join the staff of Acme India" in shown.content) == (200, True)
        assert visitor.post(link(), NEW).url == reverse("admin:index")

        user = User.objects.get(username="bela@acme.example")
        assert (user.is_staff, user.is_superuser, user.first_name, user.check_password(PASSWORD)) == (
            True,
            False,
            "Bela Rao",
            True,
        )
        assert roles(merchant)["bela@acme.example"] == Role.MANAGER
        assert visitor.get(reverse("admin:index")).status_code == 200

    def test_who_has_an_account_logs_in_and_is_added(self, staff, merchant):
        User.objects.create_user("bela", "Bela@Acme.example", PASSWORD, is_staff=True)
        invite(staff, merchant)
        visitor = Client()

        assert b"Log in with it" in visitor.get(link()).content
        assert visitor.post(link(), NEW).status_code == 200  # no second account, and no way round the password
        assert User.objects.filter(email__iexact="bela@acme.example").count() == 1
        assert "bela" not in roles(merchant)
        login = visitor.post(f"{reverse('admin:login')}?next={link()}", {"username": "bela", "password": PASSWORD})
        assert login.url == link()
        assert b"You are logged in as" in visitor.get(link()).content
        visitor.post(link())

        assert roles(merchant)["bela"] == Role.MANAGER

    def test_who_is_in_the_staff_already_keeps_their_role(self, staff, merchant):
        invite(staff, merchant, role="viewer")
        staff.post(link())

        assert roles(merchant)["owner-acme"] == Role.OWNER

    def test_nobody_learns_whether_an_address_has_an_account(self, staff, merchant):
        User.objects.create_user("bela", "bela@acme.example", PASSWORD, is_staff=True)

        answers = [invite(staff, merchant, email).content.decode() for email in ("bela@acme.example", "nobody@acme.example")]

        said = [re.search(r"An invitation is on its way to \S+@", answer).group() for answer in answers]
        assert said[0].split("@")[0].replace("bela", "") == said[1].split("@")[0].replace("nobody", "")
        assert [letter.subject for letter in mail.outbox] == [mail.outbox[0].subject] * 2
        bodies = [re.sub(r"https?://\S+", "", letter.body) for letter in mail.outbox]
        assert bodies[0] == bodies[1]

    @pytest.mark.parametrize("role", ["manager", "viewer"])
    def test_only_owners_invite(self, merchant, role):
        client = member(merchant, role)

        assert invite(client, merchant).status_code == 403
        for name in ("membership", "invitation"):
            assert client.get(reverse(f"admin:integrations_{name}_changelist")).status_code == 403
        assert (mail.outbox, Invitation.objects.count()) == ([], 0)

    def test_an_owner_here_who_is_a_manager_there_invites_here_only(self, staff, merchant, other_merchant):
        user = User.objects.get(username="owner-acme")
        Membership.objects.create(merchant=other_merchant, user=user, role="manager")

        assert list(staff.get(INVITE).context["adminform"].form.fields["merchant"].queryset) == [merchant]
        invite(staff, other_merchant)
        assert (mail.outbox, Invitation.objects.count()) == ([], 0)

    def test_without_mail_it_says_what_is_missing(self, staff, merchant, settings):
        settings.EMAIL_BACKEND = service.DUMMY

        assert "sends no mail yet" in invite(staff, merchant).content.decode()
        assert Invitation.objects.count() == 0

    def test_a_mail_server_that_refuses_is_told_of_and_asked_again(self, staff, merchant, monkeypatch):
        def refuse(*_args, **_kwargs):
            raise OSError("CANARY-SERVER")

        with monkeypatch.context() as patched:
            patched.setattr("django.core.mail.EmailMessage.send", refuse)
            said = invite(staff, merchant).content.decode()
        assert "The mail could not be sent" in said
        assert "on its way" not in said
        assert "CANARY" not in said
        staff.post(page(Invitation.objects.get(), "send_again"), {"_form_submitted": "on"})
        assert len(mail.outbox) == 1

    def test_nobody_mails_the_world(self, staff, merchant, monkeypatch):
        monkeypatch.setattr(service, "MOST_OPEN", 2)
        for number in range(4):
            invite(staff, merchant, f"p{number}@acme.example")

        assert len(mail.outbox) == 2


class TestLink:
    """Signed, expiring, once."""

    def test_it_works_once(self, staff, merchant):
        invite(staff, merchant)
        Client().post(link(), NEW)
        second = Client()

        assert second.get(link()).status_code == 404
        assert second.post(link(), NEW | {"name": "Eve"}).status_code == 404
        assert User.objects.filter(first_name="Eve").count() == 0

    def test_two_at_the_same_moment_make_one(self, staff, merchant):
        invite(staff, merchant)
        invitation = Invitation.objects.get()
        first, second = User.objects.create_user("first"), User.objects.create_user("second")

        assert (service.join(invitation, first), service.join(invitation, second)) == (True, False)
        assert set(roles(merchant)) == {"owner-acme", "first"}

    def test_it_ends_after_a_week_by_the_signature_and_by_the_row(self, staff, merchant, time_machine):
        invite(staff, merchant)
        token = link().rstrip("/").rpartition("/")[2]
        assert service.find(token) is not None
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert service.find(token) is None

        Invitation.objects.update(expires_at=timezone.now() + timedelta(days=99))
        time_machine.move_to(timezone.now() + service.VALID + timedelta(minutes=1))
        assert service.find(token) is None

    def test_a_newer_mail_voids_the_former_and_withdrawing_voids_both(self, staff, merchant):
        invite(staff, merchant)
        invite(staff, merchant, role="viewer")
        assert Invitation.objects.count() == 1
        assert (Client().get(link(0)).status_code, Client().get(link(1)).status_code) == (404, 200)

        staff.post(page(Invitation.objects.get(), "delete"), {"post": "yes"})
        assert Client().get(link(1)).status_code == 404

    @pytest.mark.parametrize("token", ["x", "1:2:3", "WzEsIngiXQ:1abc:def", "é"])
    def test_whatever_is_no_link_of_ours_is_one_and_the_same_page(self, db, token):
        answer = Client().get(f"/admin/integrations/invitation/join/{token}/")

        assert answer.status_code == 404

    def test_its_word_is_nowhere_but_in_the_mail(self, staff, merchant):
        invite(staff, merchant)
        token = link().rstrip("/").rpartition("/")[2]
        answer = Client().get(link())

        assert token not in str(list(Invitation.objects.values())) + str(list(AuditEntry.objects.values()))
        assert token not in staff.get(INVITATIONS).content.decode()
        assert answer.headers["Referrer-Policy"] == "same-origin"  # “no-referrer” would have browsers post from “null”
        assert "no-store" in answer.headers["Cache-Control"]

    @pytest.mark.parametrize(
        "wrong", [{"again": "another"}, {"password": "12345", "again": "12345"}, {"password": MAIL, "again": MAIL}]
    )
    def test_a_weak_password_is_refused_and_the_link_stays(self, staff, merchant, wrong):
        invite(staff, merchant)

        assert Client().post(link(), NEW | wrong).status_code == 200
        assert not User.objects.filter(username="bela@acme.example").exists()
        assert Client().post(link(), NEW).status_code == 302

    def test_a_get_joins_nobody(self, staff, merchant):
        invite(staff, merchant)
        staff.get(link())

        assert Invitation.objects.get().accepted_at is None


class TestStay:
    """Roles and removal."""

    def test_an_owner_changes_a_role_and_removes(self, staff, merchant):
        client = member(merchant, "viewer")
        membership = Membership.objects.get(role="viewer")

        assert staff.post(page(membership), {"role": "manager"}).status_code == 302
        assert roles(merchant)["viewer-acme"] == Role.MANAGER
        assert client.get(reverse("admin:integrations_merchant_change", args=[merchant.pk])).status_code == 200

        staff.post(page(membership, "delete"), {"post": "yes"})
        assert set(roles(merchant)) == {"owner-acme"}
        assert client.get(reverse("admin:integrations_merchant_change", args=[merchant.pk])).status_code in (302, 403, 404)

    @pytest.mark.parametrize("who", ["staff", "administrator"])
    def test_the_last_owner_is_neither_removed_nor_demoted(self, request, who, staff, merchant):
        client = request.getfixturevalue(who)
        membership = Membership.objects.get(role="owner")
        Membership.objects.create(merchant=merchant, user=User.objects.create_user("gone", is_active=False), role="owner")

        demoted = client.post(page(membership), {"role": "viewer"})
        removed = client.post(page(membership, "delete"), {"post": "yes"}, follow=True)

        assert "This is the last owner" in demoted.content.decode()
        assert "This is the last owner" in removed.content.decode()
        assert roles(merchant)["owner-acme"] == Role.OWNER
        for change in (lambda: service.remove(membership), lambda: service.change_role(membership, "viewer")):
            with pytest.raises(service.StaffError):
                change()

    def test_one_of_two_owners_may_go(self, staff, merchant):
        member(merchant, "owner", "second")
        staff.post(page(Membership.objects.get(user__username="owner-acme"), "delete"), {"post": "yes"})

        assert roles(merchant) == {"second": Role.OWNER}

    @pytest.mark.parametrize("role", ["manager", "viewer"])
    def test_others_neither_see_nor_touch(self, staff, merchant, role):
        client, membership = member(merchant, role), Membership.objects.get(role="owner")
        for verb in ("change", "delete"):
            assert client.get(page(membership, verb)).status_code in (302, 403, 404)
            assert client.post(page(membership, verb), {"role": "viewer", "post": "yes"}).status_code in (302, 403, 404)

        assert roles(merchant)["owner-acme"] == Role.OWNER

    def test_nobody_is_moved_to_another_merchant_or_made_another_user(self, staff, merchant, other_merchant):
        member(merchant, "viewer")
        membership = Membership.objects.get(role="viewer")
        staff.post(page(membership), {"role": "viewer", "merchant": other_merchant.pk, "user": 1})

        assert Membership.objects.get(pk=membership.pk).merchant == merchant
        assert staff.get(reverse("admin:integrations_membership_add")).status_code == 403


def test_all_of_it_is_in_the_audit_trail(staff, merchant):
    invite(staff, merchant)
    Client().post(link(), NEW)
    membership = Membership.objects.get(role="manager")
    staff.post(page(membership), {"role": "viewer"})
    staff.post(page(membership, "delete"), {"post": "yes"})

    rows = AuditEntry.objects.filter(merchant=merchant).exclude(act__in=[Act.LOGIN]).order_by("id")
    assert [(row.act, row.details) for row in rows][1:] == [
        (Act.INVITED, {"email": "bela@acme.example", "role": "manager"}),
        (Act.STAFF_ADDED, {"role": "manager"}),
        (Act.ROLE, {"role": "viewer"}),
        (Act.STAFF_REMOVED, {"role": "viewer"}),
    ]
