"""The doctor: each part named, what is wrong in words, and what to do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from events import record
from events.models import EventDelivery, Worker
from integrations.models import Integration, Status
from nectorbridge.diagnosis import diagnose
from nectorbridge.loyalty.models import Customer, Wallet
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


def test_credentials_that_no_key_reads_are_named():
    first, second = make.integration(), make.integration(make.merchant("other"))
    Integration.objects.filter(pk=second.pk).update(sealed_secrets=Integration.objects.get(pk=first.pk).sealed_secrets)
    assert set(wrong()) == {"credentials"} and "Other" in wrong()["credentials"]


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
