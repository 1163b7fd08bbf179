"""Key rotation: all sealed columns, found by themselves; nothing overwritten, nothing held, cut off and begun again."""

from __future__ import annotations

import threading

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import close_old_connections, connection
from django.urls import reverse

from integrations import candidates, rotation
from integrations.candidates import Candidate, seal
from integrations.fields import SecretUnreadable
from integrations.models import Integration, Merchant
from integrations.rotation import State
from integrations.secrets import Secrets
from nectorbridge.testing import make

OLD, NEW = "o" * 40, "n" * 40


@pytest.fixture
def shop(db, use_keys):
    """A merchant and an integration with something in each sealed column, under a key that is about to go."""
    use_keys(OLD)
    merchant = make.merchant(nector_webhook_secret="CANARY-NECTOR-1")
    row = make.integration(merchant, callback_auth="CANARY-CALLBACK-1")
    Integration.objects.filter(pk=row.pk).update(
        sealed_candidate=seal(row, Candidate("email", {}, Secrets(private_api_key="CANARY-NEW-1")))
    )
    use_keys(NEW, OLD)
    return row


def states() -> list[str]:
    return sorted(found.state for column in rotation.columns() for found in rotation.survey(column))


def plain(pk: int) -> list[str]:
    row = Integration.objects.select_related("merchant").get(pk=pk)
    waiting = candidates.unseal(row)
    assert waiting is not None
    return [
        row.secrets["private_api_key"],
        waiting.secrets["private_api_key"],
        row.callback_auth,
        row.merchant.nector_webhook_secret,
    ]


def test_every_sealed_column_of_the_models_is_found():
    assert {column.label for column in rotation.columns()} >= {
        "integrations.Integration.sealed_secrets",
        "integrations.Integration.sealed_candidate",
        "integrations.Integration.sealed_callback_auth",
        "integrations.Merchant.sealed_nector_secrets",
    }


def test_after_it_the_former_key_is_not_needed_any_more_and_reads_nothing(shop, use_keys, capsys):
    before = plain(shop.pk)
    call_command("rotatekeys")
    out = capsys.readouterr().out
    assert "4 of 4 looked at, 4 re-encrypted" in out and "Every secret is under the first key." in out and "CANARY" not in out
    use_keys(NEW)
    assert plain(shop.pk) == before and states() == [State.CURRENT] * 4
    use_keys(OLD)
    assert states() == [State.UNREADABLE] * 4


def test_a_second_run_writes_nothing(shop):
    call_command("rotatekeys")
    stored = [bytes(getattr(Integration.objects.get(), f"sealed_{name}").ciphertext) for name in ("secrets", "candidate")]
    call_command("rotatekeys")
    assert stored == [bytes(getattr(Integration.objects.get(), f"sealed_{name}").ciphertext) for name in ("secrets", "candidate")]


def test_what_was_cut_off_goes_on(db, use_keys, monkeypatch):
    use_keys(OLD)
    rows = [make.integration(make.merchant(f"shop-{number}")) for number in range(7)]
    use_keys(NEW, OLD)
    monkeypatch.setattr(rotation, "BATCH_ROWS", 3)
    column = next(one for one in rotation.columns() if one.label.endswith("sealed_secrets"))
    going = rotation.renew(column)
    assert [next(going)[1] for _turn in range(4)] == [True] * 4
    going.close()
    assert states() == [State.CURRENT] * 4 + [State.FORMER] * 3
    assert [written for _found, written in rotation.renew(column)] == [False] * 4 + [True] * 3
    use_keys(NEW)
    assert {Integration.objects.get(pk=row.pk).secrets["private_api_key"] for row in rows} == {"CANARY-PASSCODE-42"}


def test_what_is_saved_between_reading_and_writing_is_never_overwritten(shop, use_keys, monkeypatch):
    swap = rotation._swap

    def somebody_is_quicker(column, row):
        if column.label.endswith("Integration.sealed_secrets"):
            monkeypatch.setattr(rotation, "_swap", swap)
            other = Integration.objects.get(pk=shop.pk)
            use_keys(OLD)  # a process that still has the former order
            other.secrets = {"private_api_key": "CANARY-TYPED-MEANWHILE"}
            other.save(update_fields=["sealed_secrets"])
            use_keys(NEW, OLD)
        return swap(column, row)

    monkeypatch.setattr(rotation, "_swap", somebody_is_quicker)
    call_command("rotatekeys")
    use_keys(NEW)
    assert Integration.objects.get(pk=shop.pk).secrets["private_api_key"] == "CANARY-TYPED-MEANWHILE"
    assert states() == [State.CURRENT] * 4


def test_a_secret_that_is_deleted_meanwhile_stays_deleted(shop, monkeypatch):
    swap = rotation._swap

    def disconnect(column, row):
        Integration.objects.update(sealed_secrets=None, sealed_candidate=None, sealed_callback_auth=None)
        return swap(column, row)

    monkeypatch.setattr(rotation, "_swap", disconnect)
    call_command("rotatekeys")
    row = Integration.objects.get(pk=shop.pk)
    assert (row.sealed_secrets, row.sealed_candidate, row.sealed_callback_auth) == (None, None, None)


@pytest.mark.django_db(transaction=True)
def test_while_others_save_and_read_all_the_time_nothing_is_lost(use_keys):
    use_keys(OLD)
    rows = [make.integration(make.merchant(f"shop-{number}")) for number in range(40)]
    use_keys(NEW, OLD)
    last: dict[int, str] = {}
    faults: list[str] = []
    over = threading.Event()

    def others():
        turn = 0
        while not over.is_set() or turn < 40:
            row = Integration.objects.get(pk=rows[turn % 40].pk)
            expected = last.get(row.pk, "CANARY-PASSCODE-42")
            try:
                if row.secrets["private_api_key"] != expected:
                    faults.append(f"{row.pk} changed by itself")
            except SecretUnreadable:
                faults.append(f"{row.pk} could not be read")
            last[row.pk] = f"CANARY-{turn}"
            row.secrets = {"private_api_key": last[row.pk]}
            row.save(update_fields=["sealed_secrets"])
            turn += 1
        close_old_connections()
        connection.close()

    thread = threading.Thread(target=others)
    thread.start()
    try:
        for _turn in range(3):
            call_command("rotatekeys", verbosity=0)
    finally:
        over.set()
        thread.join()
    use_keys(NEW)
    assert faults == []
    assert {row.pk: row.secrets["private_api_key"] for row in Integration.objects.all()} == last


def test_check_names_each_row_that_cannot_be_read_changes_nothing_and_exits_with_1(shop, use_keys, capsys):
    other = make.integration(make.merchant("other"))
    Integration.objects.filter(pk=other.pk).update(sealed_secrets=Integration.objects.get(pk=shop.pk).sealed_secrets)
    with pytest.raises(SystemExit) as end:
        call_command("rotatekeys", "--check")
    out = capsys.readouterr().out
    assert end.value.code == 1 and "CANARY" not in out
    assert f"sealed_secrets of row {other.pk} (CleverTap · Other): It belongs to another row." in out
    assert f"of row {shop.pk} (" not in out and states() == [State.FORMER] * 4 + [State.UNREADABLE]
    use_keys(NEW)
    with pytest.raises(SystemExit):
        call_command("rotatekeys", "--check")
    assert capsys.readouterr().out.count("cannot be read:") == 5


def test_check_says_that_a_former_key_is_still_needed(shop, capsys):
    call_command("rotatekeys", "--check")
    assert "4 secrets are under a former key, which must stay" in capsys.readouterr().out
    assert states() == [State.FORMER] * 4


def test_a_run_that_cannot_end_says_that_something_writes_with_the_former_order(shop, monkeypatch):
    monkeypatch.setattr(rotation, "_swap", lambda _column, _row: False)
    with pytest.raises(CommandError, match="4 secrets are under a former key again"):
        call_command("rotatekeys")


def test_one_that_cannot_be_read_keeps_no_other_from_being_renewed(shop, capsys):
    Merchant.objects.update(sealed_nector_secrets="not bound to anything")
    with pytest.raises(SystemExit):
        call_command("rotatekeys")
    assert states() == [State.CURRENT] * 3 + [State.UNREADABLE]
    assert "It is damaged." in capsys.readouterr().out


def test_the_set_up_page_says_what_cannot_be_read_and_what_to_do(shop, use_keys, admin_client):
    address = reverse("admin:integrations_integration_change", args=[shop.pk])
    assert "cannot be read" not in admin_client.get(address).content.decode()
    use_keys(NEW)
    page = admin_client.get(address).content.decode()
    assert "The stored credentials cannot be read" in page and "The new values that wait for their check cannot be read" in page
    assert "Enter the credentials again below and initialize" in page and "former key into FERNET_KEYS" in page
    assert "Until then events wait; none is lost." in page and "is connected" not in page


def test_only_the_new_values_cannot_be_read(shop, admin_client):
    Integration.objects.update(sealed_candidate="not bound to anything")
    page = admin_client.get(reverse("admin:integrations_integration_change", args=[shop.pk])).content.decode()
    assert "The new values that wait for their check cannot be read" in page and "is connected" in page
    assert "The stored credentials cannot be read" not in page
