"""Pushing profiles where something of ours breaks: nothing spins, nobody else waits, no event is held up."""

# ruff: noqa: F401, F811 - fixtures of another file

from __future__ import annotations

from datetime import timedelta

import pytest
import responses
from django.utils import timezone

from events import bell, contacts, syncing
from events.models import Call, Contact
from events.sweep import sweep
from events.tests.conftest import deliver
from events.tests.test_syncing import (
    BULK,
    SINGLE,
    Shop,
    customer,
    integration,
    look_again,
    provider,
    run_of,
    sent,
    shop,
)
from integrations.models import Integration, Status
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked_for(monkeypatch):
    """Return what was put into the task queue."""
    tasks: list[str] = []
    monkeypatch.setattr(bell, "async_task", lambda task, _pk, **_options: tasks.append(task))
    return tasks


@pytest.fixture
def turns(monkeypatch):
    """Return how often profiles were looked at; a turn that spins ends after half a second."""
    monkeypatch.setattr("events.turns.LONGEST_SECONDS", 0.5)
    looks: list[int] = []
    run = syncing.Push.run
    monkeypatch.setattr(syncing.Push, "run", lambda *args, **named: looks.append(1) or run(*args, **named))
    return looks


def test_a_contact_that_lost_its_address_is_looked_at_once_and_not_for_ever(integration, provider, shop, asked_for, turns):
    shop.people["1"] = customer("1", email="")
    contacts.mark_dirty(integration, ["1"])
    assert syncing.push_contacts(integration.pk) == 1
    assert turns == [1] and asked_for == [] and Contact.objects.get().dirty_at is None


@pytest.mark.parametrize("breaks", ["profiles", "changed_since"])
def test_a_host_that_raises_costs_one_look_a_sweep_and_the_run_goes_on_afterwards(
    integration, provider, shop, asked_for, monkeypatch, breaks
):
    integration.initialize()
    if breaks == "changed_since":
        syncing.push_contacts(integration.pk)
        look_again(integration)
        contacts.mark_dirty(integration, ["1"])
    asked_for.clear()

    def broken(*_args, **_named):
        raise RuntimeError("a bug of the host's")

    with monkeypatch.context() as bad:
        bad.setattr(Shop, breaks, broken)
        with pytest.raises(RuntimeError):
            syncing.push_contacts(integration.pk)
        assert asked_for == [], "the sweep rings again; at once would be for ever"
    integration.refresh_from_db()
    assert integration.push_leased_until is None
    syncing.push_contacts(integration.pk)
    assert run_of(integration).state == "done"


def test_a_host_that_raises_keeps_no_event_waiting(integration, provider, shop, asked_for, monkeypatch):
    deliver(integration.definitions.get())
    look_again(integration)

    def broken(*_args, **_named):
        raise RuntimeError("a bug of the host's")

    monkeypatch.setattr(Shop, "merchants_changed_since", broken)
    with pytest.raises(RuntimeError):
        sweep()
    assert asked_for == [bell.DRAIN_TASK]


def test_keys_that_cannot_be_read_stop_the_push_and_ask_for_a_person(integration, provider, asked_for):
    integration.initialize()
    asked_for.clear()
    foreign = make.integration(make.merchant("other"), secrets={"private_api_key": "of another row"})
    Integration.objects.filter(pk=integration.pk).update(sealed_secrets=foreign.sealed_secrets)
    assert syncing.push_contacts(integration.pk) == 0
    integration.refresh_from_db()
    assert integration.status == Status.ATTENTION and asked_for == []


def test_a_contact_that_our_code_cannot_pack_is_left_out_and_all_others_are_pushed(
    integration, provider, shop, asked_for, monkeypatch
):
    integration.initialize()
    contract = integration.contract
    pack = contract.pack_contacts

    def breaks(account, profiles, now, bulk=False):
        profiles = list(profiles)
        if any(profile.customer_ref == "7" for profile in profiles):
            raise RuntimeError("a bug of ours")
        return pack(account, profiles, now, bulk)

    monkeypatch.setattr(contract, "pack_contacts", breaks)
    syncing.push_contacts(integration.pk)
    run = run_of(integration)
    assert (run.state, run.pushed, run.refused) == ("done", 24, 1)
    assert Contact.objects.get(customer_ref="7").status == "refused"
