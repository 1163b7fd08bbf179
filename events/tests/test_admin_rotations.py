"""The page of encryption keys: what is in use, what is under a former one, what cannot be read, and a run with its progress."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from events import rotating, tasks
from events.models import KeyRotation
from events.tests.conftest import login
from integrations import rotation
from integrations.models import Act, AuditEntry, Integration, Merchant
from nectorbridge.testing import make

PAGE, START = reverse("admin:events_keyrotation_changelist"), reverse("admin:events_keyrotation_start")
OLD, NEW = "o" * 40, "n" * 40


@pytest.fixture
def shops(db, use_keys, monkeypatch):
    """Four integrations, with their secrets under a key that is about to go; turns of a batch of three."""
    monkeypatch.setattr(rotation, "BATCH_ROWS", 3)
    monkeypatch.setattr(rotating, "TURN_SECONDS", 0.0)
    use_keys(OLD)
    rows = [make.integration(make.merchant(f"shop-{number}")) for number in range(4)]
    use_keys(NEW, OLD)
    return rows


def text(answer) -> str:
    return answer.content.decode()


def verb(run, name) -> str:
    return reverse(f"admin:events_keyrotation_{name}", args=[run.pk])


def test_the_page_shows_keys_by_fingerprint_alone_and_what_is_under_each(shops, admin_client):
    page = text(admin_client.get(PAGE))
    assert OLD not in page and NEW not in page and "CANARY" not in page
    assert "4 secrets are under a former key." in page and "must stay in FERNET_KEYS" in page
    first, second = rotation.fingerprints()
    assert page.index(first) < page.index(second) and len(first) == 8
    assert admin_client.get(PAGE).context["keys"] == [(first, "0"), (second, "4")]
    assert "Nothing was re-encrypted yet." in page and "cannot be read" not in page


def test_begin_starts_a_run_that_is_found_again_with_its_progress(shops, admin_client, admin_user):
    assert "You can leave this page" in text(admin_client.post(START, follow=True))
    run = KeyRotation.objects.get()
    assert run.asked_by == admin_user and AuditEntry.objects.get(act=Act.ROTATE).actor_id == admin_user.pk
    tasks.rotate_keys(run.pk)
    progress = admin_client.get(verb(run, "progress")).json()
    assert (progress["over"], progress["share"], progress["words"]) == (False, 37, "3 of 4 secrets")
    assert progress["parts"] == "3 re-encrypted"
    page = text(admin_client.get(PAGE))
    assert f'data-run="{verb(run, "progress")}"' in page and 'value="37"' in page and START not in page
    for _turn in range(12):
        tasks.rotate_keys(run.pk)
    progress = admin_client.get(verb(run, "progress")).json()
    assert (progress["over"], progress["share"], progress["parts"]) == (True, 100, "4 re-encrypted")
    page = text(admin_client.get(PAGE))
    assert "Every secret is under the first key." in page and START in page and "data-run=" not in page
    assert "4 of 4 secrets" in page, "it stays in the list of runs"
    assert admin_client.get(reverse("admin:events_keyrotation_change", args=[run.pk])).url == PAGE


def test_a_run_can_be_stopped_and_gone_on_with(shops, admin_client):
    admin_client.post(START)
    run = KeyRotation.objects.get()
    tasks.rotate_keys(run.pk)
    page = text(admin_client.post(verb(run, "stop"), follow=True))
    assert "Stopped. What was re-encrypted stays so" in page and "Go on" in page
    assert "It was over already." in text(admin_client.post(verb(run, "stop"), follow=True))
    admin_client.post(START)
    run.refresh_from_db()
    assert (run.state, run.handled) == ("running", 3)


def test_what_cannot_be_read_leads_to_where_it_is_entered_again(shops, admin_client):
    Integration.objects.filter(pk=shops[0].pk).update(sealed_secrets="not bound to anything")
    Merchant.objects.filter(pk=shops[1].merchant_id).update(sealed_nector_secrets="nor this")
    page = text(admin_client.get(PAGE))
    assert "2 secrets cannot be read." in page and f"Credentials of {shops[0]}" in page
    assert reverse("admin:integrations_integration_change", args=[shops[0].pk]) in page
    door = [found.entered_at for found in rotation.standing(9).unreadable if "nector" in found.column.field.name]
    assert all(f'href="{address}"' in page for address in door if address)


def test_where_there_is_more_than_can_be_looked_at_the_page_says_so(shops, admin_client, monkeypatch):
    monkeypatch.setattr("events.admin.rotations.LONGEST_LOOK_SECONDS", 0.0)
    assert "at least" in text(admin_client.get(PAGE))


def test_a_get_changes_nothing(shops, admin_client):
    run = rotating.start()
    assert admin_client.get(START).url == admin_client.get(verb(run, "stop")).url == PAGE
    run.refresh_from_db()
    assert run.state == "running" and KeyRotation.objects.count() == 1


@pytest.mark.parametrize("role", ["owner", "manager", "viewer"])
def test_staff_are_refused(shops, role):
    run = rotating.start()
    staff = login("somebody", shops[0].merchant, role)
    change = reverse("admin:events_keyrotation_change", args=[run.pk])
    assert {staff.get(url).status_code for url in (PAGE, verb(run, "progress"), change)} == {403}
    assert {staff.post(url).status_code for url in (START, verb(run, "stop"))} == {403}
    assert "Encryption keys" not in text(staff.get(reverse("admin:index")))
    run.refresh_from_db()
    assert run.state == "running" and KeyRotation.objects.count() == 1


def test_strangers_are_sent_to_log_in(shops):
    assert Client().get(PAGE).status_code == 302 and Client().post(START).status_code == 302
    assert not KeyRotation.objects.exists()
