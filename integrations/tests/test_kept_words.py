"""Words in the database are the code's, whoever writes them, and are said in the reader's language."""

from __future__ import annotations

import pytest
from django.utils import translation
from django.utils.translation import gettext_lazy

from integrations.audit import Act, note
from integrations.kept_words import kept, said
from integrations.models import AuditEntry, Status
from nectorbridge.testing import make

REASON = "The stored credentials cannot be read (secret_unreadable)."
FIX = "Put the former key back into FERNET_KEYS, or enter the credentials again."


def in_hindi(words: str) -> str:
    with translation.override("hi"):
        return said(words)


def test_in_english_they_stay_as_they_are():
    assert said(REASON) is REASON and said("") == ""


def test_a_message_is_found_again_with_what_was_filled_in():
    reason, fix = in_hindi(REASON), in_hindi(FIX)
    assert "secret_unreadable" in reason and "credentials" not in reason
    assert fix != FIX and "FERNET_KEYS" in fix


def test_so_are_messages_in_a_row():
    assert in_hindi(f"{REASON} {FIX}") == f"{in_hindi(REASON)} {in_hindi(FIX)}"


def test_what_a_provider_said_stays_beside_what_we_said():
    words = "Their own Words: quota 7 of 9 spent."
    assert in_hindi(words) == words
    assert in_hindi(f"{words} {FIX}") == f"{words} {in_hindi(FIX)}"
    long = "A sentence of theirs. " * 40
    assert in_hindi(long) == long


def test_hindi_is_not_said_twice():
    assert in_hindi(in_hindi(REASON)) == in_hindi(REASON)


@pytest.mark.django_db
def test_the_audit_trail_is_written_in_one_language():
    with translation.override("hi"):
        note(Act.CHANGED, make.merchant(), fields=[gettext_lazy("launch checklist")])
        assert translation.get_language() == "hi"
    assert AuditEntry.objects.get().fields == ["launch checklist"]


@pytest.mark.django_db
def test_what_a_check_found_is_written_in_one_language_and_shown_in_the_readers(admin_client):
    row = make.integration(status=Status.ATTENTION, secrets={})
    with translation.override("hi"):
        row.initialize()
    row.refresh_from_db()
    assert row.status_reason.endswith("missing.") and row.status_fix.startswith("Fill in")

    page = admin_client.get(f"/admin/integrations/integration/{row.pk}/change/", headers={"accept-language": "hi"})
    assert in_hindi(row.status_fix) in page.content.decode() and row.status_fix not in page.content.decode()
    page = admin_client.get(f"/admin/integrations/integration/{row.pk}/change/")
    assert row.status_fix in page.content.decode()


def test_a_language_is_given_back():
    with translation.override("hi"):
        with kept():
            assert translation.get_language() == "en"
        assert translation.get_language() == "hi"
