"""The doctor: each part named, what is wrong in words, and what to do."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
import time_machine
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone

from events import record
from events.models import EventDelivery, Tally, Worker
from integrations.models import Integration, Status
from nectorbridge import diagnosis_machine
from nectorbridge.diagnosis import diagnose
from nectorbridge.loyalty.models import Customer, Wallet
from nectorbridge.models import SecondFactor
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def worker():
    return Worker.objects.create(name="w:1", canary_at=timezone.now())


def wrong() -> dict[str, str]:
    return {finding.part: finding.says for finding in diagnose() if not finding.ok}


def test_a_sound_installation_passes(capsys):
    make.definition()
    call_command("doctor")
    assert "wrong" not in capsys.readouterr().out


def test_no_live_worker_is_named_and_the_exit_code_says_so(worker, capsys):
    worker.delete()
    with pytest.raises(SystemExit) as end:
        call_command("doctor")
    assert end.value.code == 1 and "manage.py worker" in capsys.readouterr().out


def test_it_can_wait_for_a_worker_that_has_just_been_started(worker, monkeypatch, capsys):
    worker.delete()
    monkeypatch.setattr(
        "nectorbridge.management.commands.doctor.time.sleep",
        lambda _seconds: Worker.objects.create(name="w:2", canary_at=timezone.now()),
    )
    call_command("doctor", "--wait", "30")
    said = capsys.readouterr().out
    assert "worker: 1 alive" in said and "none is alive" not in said, "it tells what it found at last"


def test_credentials_that_no_key_reads_are_named():
    first, second = make.integration(), make.integration(make.merchant("other"))
    Integration.objects.filter(pk=second.pk).update(sealed_secrets=Integration.objects.get(pk=first.pk).sealed_secrets)
    assert set(wrong()) == {"credentials"} and "Other" in wrong()["credentials"]


def test_every_kind_of_secret_is_read_and_a_former_key_is_a_note(use_keys):
    use_keys("o" * 40)
    make.integration(make.merchant(nector_webhook_secret="CANARY-NECTOR-1"), callback_auth="CANARY-CALLBACK-1")
    use_keys("n" * 40, "o" * 40)
    note = found("credentials")
    assert (note.state, note.says, note.fix) == ("note", "all can be read, 3 by a former key", "Run: manage.py rotatekeys")
    use_keys("n" * 40)
    assert "Merchant.sealed_nector_secrets of row" in wrong()["credentials"]
    assert "Integration.sealed_callback_auth of row" in wrong()["credentials"]


def test_an_integration_that_needs_a_person_is_named_with_its_reason():
    make.integration(status=Status.ATTENTION, status_reason="CleverTap refused the passcode.")
    assert "refused the passcode" in wrong()["integrations"]


def test_what_is_due_for_long_is_named():
    record(make.activity(make.definition().integration.merchant))
    assert "queue" not in wrong()
    EventDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=10))
    assert "more than 5 minutes" in wrong()["queue"]


def test_a_balance_that_somebody_bent_is_named():
    customer = Customer.objects.create(merchant=make.merchant(), customer_id="c1")
    Wallet.objects.create(customer=customer, balance=5)
    assert "1 wallets" in wrong()["ledger"]


def found(part: str):
    (one,) = [finding for finding in diagnose() if finding.part == part]
    return one


def test_json_has_every_part_with_its_state_and_the_exit_code_stays(worker, capsys):
    worker.delete()
    with pytest.raises(SystemExit) as end:
        call_command("doctor", "--json")
    told = json.loads(capsys.readouterr().out)
    states = {one["part"]: one["state"] for one in told["findings"]}
    assert end.value.code == 1 and told["ok"] is False
    assert states.pop("worker") == "wrong" and set(states.values()) == {"ok", "note"}
    parts = "settings database migrations writing disk clock credentials integrations providers queue mail metrics links ledger"
    assert set(states) == {*parts.split(), "task queue", "administrators"}
    assert all(one["fix"] for one in told["findings"] if one["state"] == "wrong")


def test_a_database_that_takes_no_rows_is_named_and_a_sound_one_keeps_nothing_of_the_trial():
    def refuse(execute, sql, *rest):
        if sql.startswith("INSERT"):
            raise OperationalError("attempt to write a readonly database")
        return execute(sql, *rest)

    with connection.execute_wrapper(refuse):
        assert wrong() == {"writing": "the database takes no rows"}
    assert found("writing").ok and not Tally.objects.exists()


def test_a_migration_that_was_not_applied_ends_the_examination(monkeypatch):
    monkeypatch.setattr("django.db.migrations.executor.MigrationExecutor.migration_plan", lambda *_args: [1, 2])
    assert wrong() == {"migrations": "2 not applied"}


def test_administrators_with_a_password_alone_are_a_note_where_it_is_no_laptop(settings, django_user_model):
    settings.DEBUG, settings.SECOND_FACTOR_FOR_ADMINISTRATORS = False, False
    people = [django_user_model.objects.create_superuser(name) for name in ("ada", "ben")]
    factor = SecondFactor(user=people[0], name="app", confirmed=True)
    factor.key = b"0" * 20
    factor.save()
    one = found("administrators")
    assert (one.state, one.says) == ("note", "2, of whom 1 log in with a password alone")
    assert "SECOND_FACTOR_FOR_ADMINISTRATORS=true" in one.fix
    settings.DEBUG = True
    assert found("administrators").state == "ok"
    settings.DEBUG, settings.SECOND_FACTOR_FOR_ADMINISTRATORS = False, True
    assert found("administrators").state == "ok"


def test_a_disk_that_is_nearly_full_is_named(monkeypatch):
    monkeypatch.setattr(diagnosis_machine.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=40_000_000))
    assert "40 MB are left in" in wrong()["disk"]


def test_a_clock_that_differs_from_the_databases_is_named_and_sqlite_has_no_other(monkeypatch):
    monkeypatch.setattr(diagnosis_machine, "LONGEST_REPLY", 60.0)  # this machine may be busy
    assert found("clock").ok
    with time_machine.travel(timezone.now() + timedelta(seconds=9)):
        clock = found("clock")
    if connection.vendor == "postgresql":
        assert not clock.ok and re.search(r"\b(8\.[5-9]|9\.\d) s ahead of the database", clock.says)
    else:
        assert clock.ok and clock.says == "one machine, one clock"


def test_a_task_queue_that_cannot_be_reached_is_named(settings):
    settings.REDIS_URL = "redis://:secret@127.0.0.1:1/0"
    settings.Q_CLUSTER = settings.Q_CLUSTER | {"redis": settings.REDIS_URL}
    assert wrong() == {"task queue": "Redis cannot be reached"}


def test_a_worker_without_a_sign_of_life_beside_a_live_one_is_a_note():
    Worker.objects.create(name="mill:9", canary_at=timezone.now() - timedelta(hours=2))
    note = found("worker")
    assert (note.state, note.says) == ("note", "1 alive; no sign of life from mill:9")


def test_the_integration_whose_queue_waits_longest_is_named():
    for name, minutes in (("quick", 6), ("slow", 45)):
        owner = make.definition(make.integration(make.merchant(name))).integration.merchant
        (row,) = record(make.activity(owner))
        EventDelivery.objects.filter(pk=row.pk).update(next_attempt_at=timezone.now() - timedelta(minutes=minutes))
    assert "over CleverTap · Slow, for 45 min" in wrong()["queue"]


def test_what_waits_as_its_provider_asked_is_not_late():
    integration = make.definition().integration
    record(make.activity(integration.merchant))
    EventDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=10))
    Integration.objects.update(hold_until=timezone.now() + timedelta(minutes=1))
    assert wrong() == {}


def test_a_provider_that_does_not_answer_is_a_note_and_its_queue_is_not_called_late():
    integration = make.definition().integration
    record(make.activity(integration.merchant))
    now = timezone.now()
    EventDelivery.objects.update(next_attempt_at=now - timedelta(minutes=10))
    Integration.objects.update(breaker_until=now + timedelta(minutes=1), breaker_failing_since=now - timedelta(minutes=12))
    assert wrong() == {}
    note = found("providers")
    assert (note.state, note.says) == ("note", "1 without an answer: CleverTap · Acme for 12 min")


def test_a_delivery_that_no_sweep_gave_back_is_named():
    record(make.activity(make.definition().integration.merchant))
    EventDelivery.objects.update(status="sending", lease_until=timezone.now() - timedelta(minutes=10))
    assert "1 deliveries were taken by a worker and not given back" in wrong()["queue"]


def test_of_many_integrations_in_need_of_attention_some_are_named_and_the_others_counted():
    for number in range(7):
        make.integration(make.merchant(f"m{number}"), status=Status.ATTENTION, status_reason="Refused.")
    says = wrong()["integrations"]
    assert says.startswith("7 in need of attention: ") and says.count("Refused.") == 5 and says.endswith("; and 2 more")


def test_with_debug_off_what_is_not_set_up_is_a_note_with_what_to_do(settings, capsys):
    settings.DEBUG, settings.METRICS_TOKEN, settings.PUBLIC_URL = False, "", "http://127.0.0.1:8000"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    notes = {finding.part: finding.fix for finding in diagnose() if finding.state == "note"}
    assert set(notes) == {"mail", "metrics", "links", "administrators"}
    assert "EMAIL_URL" in notes["mail"] and "METRICS_TOKEN" in notes["metrics"] and "PUBLIC_URL" in notes["links"]


def test_with_debug_off_what_is_set_up_is_well(settings):
    settings.DEBUG, settings.METRICS_TOKEN, settings.PUBLIC_URL = False, "a-token", "https://bridge.example.com"
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.smtp.EmailBackend", "mail.example.com"
    settings.SECOND_FACTOR_FOR_ADMINISTRATORS = True
    assert [finding.part for finding in diagnose() if finding.state == "note"] == []
    assert found("mail").says == "is sent by mail.example.com" and "a-token" not in found("metrics").says
