"""Answers that are written down by threads beside the sender: on PostgreSQL, outside of a transaction."""

from __future__ import annotations

import json
import threading
from collections import Counter

import pytest
import requests
import responses
from django.db import DatabaseError, connection, transaction

from events import record_many, scribes, waves
from events.drain import drain
from events.models import Call, DeliveryAttempt, EventDelivery
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db(transaction=True)
PARTS, SIZE = 5, 1000


@pytest.fixture
def integration():
    return make.definition().integration


@pytest.fixture
def writers(monkeypatch):
    """The names of the threads that wrote answers down."""
    names = []

    def settle(*args, **kwargs):
        names.append(threading.current_thread().name)
        return original(*args, **kwargs)

    original = scribes.settle
    monkeypatch.setattr(scribes, "settle", settle)
    return names


def queue(integration, count=PARTS * SIZE):
    people = [f"p{n}" for n in range(count)]
    record_many([make.activity(integration.merchant, person=one, recipient={"customer_id": one}) for one in people])


def accept(request):
    return 200, {}, json.dumps({"status": "success", "processed": len(json.loads(request.body)["d"]), "unprocessed": []})


def refuse_the_third(request):
    """Accept all but the record of one customer."""
    records = json.loads(request.body)["d"]
    bad = [record for record in records if record["identity"] == "p3" and record["type"] == "event"]
    said = [{"status": "fail", "code": 514, "error": "no", "record": record} for record in bad]
    return (
        200,
        {},
        json.dumps({"status": "partial" if bad else "success", "processed": len(records) - len(said), "unprocessed": said}),
    )


def others_connected() -> int:
    """Return how many connections there are to this database besides ours."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("answer", [accept, refuse_the_third])
def test_a_long_queue_is_sent_once_each_and_plain_answers_are_written_beside(integration, writers, answer):
    is_beside = connection.vendor == "postgresql"
    before = others_connected() if is_beside else 0
    queue(integration)
    with responses.RequestsMock() as provider:
        provider.add_callback(responses.POST, make.UPLOAD, answer)
        drain(integration.pk)
    states = Counter(EventDelivery.objects.values_list("status", flat=True))
    assert states["sent"] == PARTS * SIZE - (answer is refuse_the_third) and sum(states.values()) == PARTS * SIZE
    assert DeliveryAttempt.objects.count() == PARTS * SIZE
    assert not Call.objects.filter(ended_at__isnull=True).exists()
    assert all(name.startswith("scribe") for name in writers) and bool(writers) == is_beside
    if is_beside:
        assert others_connected() == before, "each has closed its own"


def test_an_answer_that_cannot_be_written_down_keeps_no_other_one_from_being(integration, monkeypatch):
    queue(integration)
    broken, original = [], scribes.settle

    def settle(call, *args, **kwargs):
        if not broken:
            broken.append(call.pk)
            raise DatabaseError("gone")
        return original(call, *args, **kwargs)

    monkeypatch.setattr(scribes, "settle", settle)
    monkeypatch.setattr("events.sender.settle", settle)
    with responses.RequestsMock() as provider, pytest.raises(DatabaseError):
        provider.add_callback(responses.POST, make.UPLOAD, accept)
        drain(integration.pk)
    (open_call,) = Call.objects.filter(ended_at__isnull=True)
    assert open_call.pk == broken[0]
    states = Counter(EventDelivery.objects.values_list("status", flat=True))
    written = SIZE * Call.objects.filter(outcome="accepted").count()
    assert states == +Counter(sending=SIZE, sent=written, queued=(PARTS - 1) * SIZE - written)
    assert set(EventDelivery.objects.filter(status="sending").values_list("call", flat=True)) == {open_call.pk}


def test_who_works_within_a_transaction_writes_everything_by_itself(integration, writers):
    queue(integration, 2 * SIZE)
    with responses.RequestsMock() as provider:
        provider.add_callback(responses.POST, make.UPLOAD, accept)
        work = waves.Waves(integration, integration.account())
        with transaction.atomic():
            work.run()
    assert writers == [] and EventDelivery.objects.filter(status="sent").count() == 2 * SIZE


def test_what_got_no_answer_is_not_for_the_scribes(integration, writers):
    queue(integration, 2 * SIZE)
    with responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, body=requests.ReadTimeout("slow"))
        drain(integration.pk)
    assert writers == [] and set(EventDelivery.objects.filter(attempt_count=1).values_list("status", flat=True)) == {"retrying"}
