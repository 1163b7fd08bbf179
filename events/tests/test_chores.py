"""Chores: apps register them, whoever runs beside the cluster does them, and one that fails holds up no other."""

from __future__ import annotations

import threading

import pytest
from django.apps import apps

from events import chores, retention
from events.chores import Chore, Rounds, registered

OWN = {
    "sweep",
    "ring for callbacks that wait",
    "look again at who unsubscribed",
    "add up what was counted",
    "count what came back",
    "fold statistics",
    "purge",
}
done: list[str] = []


def note() -> None:
    """Stand for a host's own chore."""
    done.append("noted")


@pytest.fixture(autouse=True)
def one_connection(monkeypatch):
    """Keep the test's own connection, which has a transaction open."""
    monkeypatch.setattr(chores, "close_old_connections", lambda: None)


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(chores, "_REGISTERED", dict(chores._REGISTERED))
    done.clear()


def test_this_app_has_its_own_and_a_host_adds_to_them(registry):
    others = {chore.what for chore in registered()} - OWN
    assert bool(others) == apps.is_installed("nectorbridge.loyalty"), "what belongs to the ledger, the ledger registers"
    chores.register("note it", 60.0, f"{__name__}.note")
    (mine,) = [chore for chore in registered() if chore.what == "note it"]
    mine.do()
    assert (mine.every, done) == (60.0, ["noted"])
    chores.register("note it", 5.0, f"{__name__}.note")
    assert [chore.every for chore in registered() if chore.what == "note it"] == [5.0], "once, as said last"


@pytest.mark.django_db
def test_each_that_is_registered_can_be_done():
    rounds = Rounds(registered())
    for chore in rounds.chores:
        rounds.attempt(chore)
    assert {chore.what for chore in rounds.chores} >= OWN
    assert [chore.what for chore in rounds.chores if chore.failed_at is not None] == []


def test_one_that_fails_holds_up_no_other(caplog):
    stopped, turns = threading.Event(), []

    def fail():
        raise ValueError("ines@example.com")

    def go():
        turns.append(1)
        if len(turns) == 3:
            stopped.set()

    Rounds([Chore("fail", 0.01, fail), Chore("go", 0.01, go)]).until(stopped)
    assert len(turns) == 3
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith("Could not fail: ValueError at test_chores.py:")


def test_the_purge_goes_on_where_its_slice_ended_and_rests_at_the_end(monkeypatch):
    begun = []

    def batches():
        begun.append(1)
        yield from [("tries", 1)] * 3

    monkeypatch.setattr(retention, "batches", batches)
    monkeypatch.setattr(chores, "SLICE_SECONDS", 0.0)
    purge, another = chores.Purging(), chores.Purging()
    for _turn in range(6):
        purge()
    assert len(begun) == 1, "four slices to the end, and then a rest"
    another()
    assert len(begun) == 2, "each round has one of its own"
