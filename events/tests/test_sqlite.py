"""The hot path on SQLite: a change of state writes few indexes, a question is answered by the index that is worded like it, and
what is logged is moved into the file beside a drain.

Not collected on another database (see conftest).
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from django.db import connection, transaction

from events import bell, checkpoints, claims, drain, record
from events.lookups import UNSENT_STATES, in_states
from events.models import EventDelivery
from events.states import DUE_STATES, State
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
AT_ONCE = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.01)


def limit() -> int:
    """Return from how many pages on a commit of ours moves the log."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_autocheckpoint")
        return cursor.fetchone()[0]


def is_moving() -> bool:
    """Tell whether a thread moves it."""
    return "checkpoints" in [thread.name for thread in threading.enumerate()]


def test_a_change_of_state_asks_no_index_by_a_list_that_becomes_a_table():
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN UPDATE events_eventdelivery SET status = 'sent' WHERE id = 'x'")
        steps = [step[1] for step in cursor.fetchall()]
    assert "OpenWrite" in steps and "OpenEphemeral" not in steps


def test_a_change_of_state_leaves_the_indexes_of_addresses_alone():
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, rootpage FROM sqlite_master WHERE type = 'index'")
        numbers = dict(cursor.fetchall())
        cursor.execute("EXPLAIN UPDATE events_eventdelivery SET status = 'sent' WHERE id = 'x'")
        opened = {step[3] for step in cursor.fetchall() if step[1] == "OpenWrite"}
    assert numbers["delivery_over_integration"] in opened
    assert not {numbers["delivery_to_email"], numbers["delivery_to_customer_id"]} & opened


@pytest.mark.parametrize(
    ("states", "index"),
    [(UNSENT_STATES, "delivery_unsent"), ((*DUE_STATES, State.HELD), "delivery_expiring"), ((*DUE_STATES,), "delivery_due")],
)
def test_a_question_is_worded_as_its_index_is(states, index):
    fits = {"delivery_unsent": {"merchant": 1}, "delivery_expiring": {"expires_at__lte": "2030-01-01T00:00Z"}}
    rows = in_states(EventDelivery.objects.filter(**fits.get(index, {"integration": 1})), states)
    assert f"USING INDEX {index} " in rows.order_by().explain()


@AT_ONCE
def test_who_silences_a_bell_waits_for_who_has_found_it_rung(definition, rung):
    pk, claimed = definition.integration_id, []
    bell.ring(pk)

    def come() -> None:
        bell.clear(pk)
        claimed.extend(claims.claim(pk, 10, "a drain"))
        connection.close()

    drain_elsewhere = threading.Thread(target=come)
    with transaction.atomic():
        (row,) = record(make.activity(definition.integration.merchant))
        drain_elsewhere.start()
        drain_elsewhere.join(0.3)
        assert drain_elsewhere.is_alive() and not claimed
    drain_elsewhere.join(10)
    assert [each.id for each in claimed] == [str(row.pk)], "so nobody need ring for it"
    assert rung == [pk]


@AT_ONCE
def test_what_is_logged_is_moved_beside_a_drain_and_not_by_its_commits(definition, hurried):
    path, usual = Path(connection.settings_dict["NAME"]), limit()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.stat().st_mtime_ns
    with checkpoints.beside():
        assert limit() == checkpoints.MOST_PAGES > usual
        type(definition).objects.update(name="Another")
        until = time.monotonic() + 5
        while path.stat().st_mtime_ns == before and time.monotonic() < until:
            time.sleep(0.01)
        assert path.stat().st_mtime_ns > before
    assert limit() == usual and not is_moving()


@AT_ONCE
def test_a_drain_has_it_done_and_afterwards_everything_is_as_it_was(definition, monkeypatch):
    seen, usual = [], limit()

    def broken(work):
        seen.append(is_moving())
        raise RuntimeError("in the middle")

    monkeypatch.setattr(drain, "_sent_by", broken)
    with pytest.raises(RuntimeError, match="in the middle"):
        drain.drain(definition.integration_id)
    assert seen == [True] and limit() == usual and not is_moving()


def test_within_a_transaction_nobody_does(hurried):
    with checkpoints.beside():
        assert not is_moving()


@AT_ONCE
def test_a_drain_goes_on_where_it_cannot_be_done(hurried, monkeypatch, caplog):
    monkeypatch.setattr(checkpoints, "MOVE", "PRAGMA no_such_table.wal_checkpoint")
    usual = limit()
    with checkpoints.beside():
        until = time.monotonic() + 5
        while is_moving() and time.monotonic() < until:
            time.sleep(0.01)
        assert not is_moving()
    assert "could not be moved" in caplog.text and limit() == usual
