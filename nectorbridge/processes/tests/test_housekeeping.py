from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.signing import SignedPackage

from events import tallies
from events.chores import Chore, in_one_line
from events.models import Worker
from nectorbridge.processes.cluster import CANARY_ACK, CANARY_TASK, CanaryBroker
from nectorbridge.processes.housekeeping import Housekeeper
from nectorbridge.processes.pulse import Sign

NAME = "host:7"


def fail(error):
    def chore():
        raise error

    return chore


@pytest.fixture
def housekeeper(db, monkeypatch):
    monkeypatch.setattr("events.chores.close_old_connections", lambda: None)
    return Housekeeper(NAME)


def test_the_workers_row_starts_afresh_and_then_follows(housekeeper):
    Worker.objects.create(name=NAME, canary_at=timezone.now(), restarts=9)
    housekeeper._report()
    assert Worker.objects.get().canary_at is None
    housekeeper.restarts = 2
    housekeeper._report()
    assert Worker.objects.get().restarts == 2


def test_restarts_are_counted_for_good_each_once_and_say_why(housekeeper):
    housekeeper._report()
    housekeeper.restarts, housekeeper.restart_reason = 2, "ended by itself with exit code -9"
    for _ in range(2):
        housekeeper._report()
    worker = Worker.objects.get()
    assert worker.restarted_at and worker.restart_reason == "ended by itself with exit code -9"
    housekeeper._sign_off()
    tallies.fold()
    assert tallies.totals() == {tallies.INSTALLATION: {(tallies.Kind.RESTART, ""): 2}}


def test_what_the_last_sweep_did_stands_in_the_workers_row_also_where_an_error_ended_it(housekeeper, monkeypatch):
    housekeeper._report()
    housekeeper._sweep()
    done = {"calls_ended": 0, "claims_returned": 0, "held": 0, "released": 0, "rung": 0}
    assert Worker.objects.get().sweep == done and Worker.objects.get().swept_at
    monkeypatch.setattr("events.sweep.return_abandoned_claims", lambda _now: 4)
    monkeypatch.setattr("events.sweep.align_queues", fail(ValueError("no")))
    with pytest.raises(ValueError):
        housekeeper._sweep()
    assert Worker.objects.get().sweep == done | {"claims_returned": 4}


def test_only_rows_that_nobody_supervised_for_a_day_are_forgotten(housekeeper):
    Worker.objects.create(name="stale", supervised_at=timezone.now() - timedelta(hours=25))
    Worker.objects.create(name="late", supervised_at=timezone.now() - timedelta(hours=23))
    housekeeper._forget_stale()
    assert [worker.name for worker in Worker.objects.all()] == ["late"]


def test_an_absent_database_is_noted_and_said_once(housekeeper, caplog):
    chore = Chore("sweep", 5, fail(OperationalError("connection refused\nIs the server running?")))
    housekeeper.rounds.attempt(chore)
    housekeeper.rounds.attempt(chore)
    assert housekeeper.is_database_away
    assert [record.getMessage() for record in caplog.records] == [
        "Could not sweep: OperationalError: connection refused. Trying again."
    ]
    chore.do = lambda: None
    housekeeper.rounds.attempt(chore)
    assert not housekeeper.is_database_away
    assert caplog.messages[-1] == "Can sweep again."


def test_other_errors_are_named_by_place_without_their_text():
    try:
        fail(ValueError("ines@example.com"))()
    except ValueError as error:
        assert in_one_line(error).startswith("ValueError at test_housekeeping.py:")


class Broker:
    list_key = "nectorbridge"

    def __init__(self, tasks=None):
        self.tasks, self.acknowledged = tasks, []

    def dequeue(self):
        return self.tasks

    def acknowledge(self, task_id):
        self.acknowledged.append(task_id)


class Pulse:
    def __init__(self):
        self.signs = []

    def send(self, sign):
        self.signs.append(sign)


def test_a_canary_goes_along_with_what_is_due_but_not_each_time():
    broker = CanaryBroker(Broker([(5, "task")]), NAME, 60, Pulse())
    task, (ack_id, package) = broker.dequeue()
    assert (task, ack_id) == ((5, "task"), CANARY_ACK)
    canary = SignedPackage.loads(package)
    assert (canary["func"], canary["args"], canary["save"]) == (CANARY_TASK, (NAME,), False)
    assert broker.dequeue() == [(5, "task")]


def test_an_empty_queue_still_gives_canaries():
    broker = CanaryBroker(Broker(None), NAME, 0, Pulse())
    assert [ack_id for ack_id, _ in broker.dequeue() + broker.dequeue()] == [CANARY_ACK, CANARY_ACK]


def test_a_canary_is_acknowledged_to_the_supervisor_alone():
    inner, pulse = Broker(), Pulse()
    broker = CanaryBroker(inner, NAME, 60, pulse)
    broker.acknowledge(CANARY_ACK)
    broker.acknowledge(5)
    assert inner.acknowledged == [5]
    assert pulse.signs == [Sign.ACKNOWLEDGED, Sign.ACKNOWLEDGED]
    assert broker.list_key == "nectorbridge"


class AwayBroker(Broker):
    def dequeue(self):
        raise OperationalError("no route to db.internal")

    def acknowledge(self, task_id):
        raise OperationalError("no route to db.internal")

    def set_stat(self, key, value, timeout):
        raise OperationalError("no route to db.internal")


def test_an_absent_queue_gives_no_canary_and_is_said_once(monkeypatch, caplog):
    monkeypatch.setattr("nectorbridge.processes.cluster.AWAY_SECONDS", 0)
    pulse = Pulse()
    broker = CanaryBroker(AwayBroker(), NAME, 0, pulse)
    assert broker.ping()
    assert broker.dequeue() == broker.dequeue() == []
    broker.acknowledge(5)
    broker.set_stat("key", "value", 3)
    assert pulse.signs == [Sign.QUEUE_AWAY] * 3 + [Sign.ACKNOWLEDGED]
    assert caplog.messages == ["The task queue cannot be reached (OperationalError). Trying again."]
