"""Journeys: several clusters, as if on several machines, on one PostgreSQL with Redis, against a provider that counts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path

import psycopg
import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.installation import Outside, installation, wait_for
from nectorbridge.testing.parts import postgres_missing, redis_missing

pytestmark = [pytest.mark.journey, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")]

LATENCY_SECONDS = 0.25
HEAD = "import json\nfrom events.models import *\nfrom integrations.models import *\n"
SET_UP = """
m = Merchant.objects.create(name="Acme", slug="acme", website="https://acme.example")
kinds = {"clevertap": ({"account_id": "TEST-1", "server_prefix": "in1"}, ["private_api_key"], "customer_id"),
         "contlo": ({"app_installed": True}, ["private_api_key"], "email"),
         "mailmodo": ({"list_name": "Ours", "requests_per_second": 10}, ["api_key"], "email"),
         "moengage": ({"workspace_id": "ABCDEFGHIJ1234", "server_prefix": "01", "allow_bulk": False}, ["data_api_key"], "email")}
for provider in PROVIDERS:
    values, secrets, common = kinds[provider]
    i = Integration.objects.create(merchant=m, provider=provider, settings=values, common_property=common,
                                   secrets={name: "0123456789abcdef" for name in secrets})
    i.initialize()
    EventDefinition.objects.create(integration=i, trigger="walletreward_create", name="wallet_reward")
for n in range(CUSTOMERS):
    Customer.objects.create(merchant=m, customer_id=f"c{n}", email=f"c{n}@example.com", name=f"N {n}")
print(json.dumps(sorted(set(Integration.objects.values_list("status", flat=True)))))
"""
EARN = """
import time
for n in range(ROUNDS):
    for customer in Customer.objects.order_by("pk"):
        services.credit(customer, 10 + n, "Order", portal="online_store")
        time.sleep(PAUSE)
    time.sleep(0.2)
print(json.dumps(EventDelivery.objects.count()))
"""
UNSENT = "SELECT count(*) FROM events_eventdelivery WHERE status <> 'sent'"
BUSY = "SELECT count(*) FROM events_workerplace WHERE lease_until > now()"
STATES = "from collections import Counter\nprint(json.dumps(Counter(EventDelivery.objects.values_list('status', flat=True))))"
MOMENTS = """
calls = Call.objects.filter(integration__provider="mailmodo").order_by("started_at")
print(json.dumps([moment.isoformat() for moment in calls.values_list("started_at", flat=True)]))
"""
DRAIN_WITHIN_A_LIMIT = """
import os, time
from dataclasses import replace
from events.drain import drain
from integrations.providers import get_provider
contract, handled, until = get_provider("moengage"), 0, time.monotonic() + 60
contract.limits = replace(contract.limits, per_minute={"event": 150, "customer": 1000})
Worker.objects.create(name=f"process {os.getpid()}")
while Worker.objects.count() < PROCESSES and time.monotonic() < until:
    time.sleep(0.05)
while Integration.objects.get().hold_until is None and time.monotonic() < until:
    handled += drain(Integration.objects.get().pk)
    if not EventDelivery.objects.exclude(status="sent").exists():
        break
    time.sleep(0.01)
print(json.dumps(handled))
"""


@pytest.fixture
def sandbox():
    with Sandbox.running(latency=LATENCY_SECONDS) as running:
        yield running


@pytest.fixture
def place(sandbox, tmp_path):
    """An installation on PostgreSQL and Redis, with patience for a busy machine."""
    missing = postgres_missing() or redis_missing()
    if missing:
        pytest.skip(missing)
    providers = {f"{slug.upper()}_BASE_URL": sandbox.url_of(slug) for slug in sandbox.stores}
    timing = {"DELIVERY_LEASE_SECONDS": "20", "DELIVERY_HTTP_TIMEOUT_SECONDS": "10", "WORKER_STALL_SECONDS": "15"}
    folder = tmp_path / "first"
    folder.mkdir()
    with installation("postgres", folder, **providers, **timing) as outside:
        yield outside


def machine(place: Outside, folder: Path, **environment: str) -> Outside:
    """Return the same installation as another machine has it: a folder of its own, the same database, Redis and keys."""
    folder.mkdir(exist_ok=True)
    url, redis = place.environment["DATABASE_URL"], place.environment["REDIS_URL"]
    return Outside(folder, url, redis, **{**place.environment, "DATA_DIR": str(folder), **environment})


def set_up(place: Outside, providers: list[str], customers: int) -> None:
    code = SET_UP.replace("PROVIDERS", repr(providers)).replace("CUSTOMERS", str(customers))
    assert place.ask(code) == ["active"]


def test_two_clusters_drain_the_same_queues_once_in_order_and_with_no_customer_in_two_calls(place, sandbox, tmp_path):
    set_up(place, ["clevertap", "contlo"], 25)
    environment = {"DELIVERY_WORKERS": "1", "DELIVERY_WORKERS_PER_INTEGRATION": "2"}
    machines = [machine(place, tmp_path / name, **environment) for name in ("one", "two")]
    with ExitStack() as stack, psycopg.connect(place.environment["DATABASE_URL"], autocommit=True) as database:
        for each in machines:
            stack.enter_context(each.running("worker"))
        wait_for(
            lambda: database.execute("SELECT count(*) FROM events_worker WHERE canary_at IS NOT NULL").fetchone()[0] == 2,
            40,
            "both",
        )
        assert _most_at_work(place, database, rounds=12) == 2, "each cluster has one worker: both were at work at the same moment"
        # From now on only one queue is left, whose calls take so long that the other worker comes for those who earn meanwhile.
        place.ask("print(EventDefinition.objects.filter(integration__provider='contlo').update(enabled=False))")
        sandbox.fault("clevertap", "latency", seconds=1)
        assert _most_at_work(place, database, rounds=2, pause=0.1) == 2, "also for one integration"
    assert place.ask(STATES) == {"sent": 650}
    for provider, events in (("clevertap", 350), ("contlo", 300)):
        times = sandbox.deliveries(provider)
        assert len(times) == events and set(times.values()) == {1}, "every event exactly once"
        journeys = defaultdict(list)
        for record in sandbox.arrived(provider):
            if record.kind == "event":
                journeys[record.identity].append(record)
        assert len(journeys) == 25
        for records in journeys.values():
            ids = [record.delivery for record in records]
            assert ids == sorted(ids), "in recorded order"
            calls = [next(group).at for _call, group in groupby(records, key=lambda record: record.call)]
            gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(calls)]
            assert all(gap >= LATENCY_SECONDS for gap in gaps), "the next call left after the answer to the one before"


def _most_at_work(place: Outside, database: psycopg.Connection, rounds: int, pause: float = 0) -> int:
    """Let everybody earn until all of it is sent; return how many workers had a place at the same moment."""
    most = 0
    earning = subprocess.Popen(place.command("shell", "--no-imports", "-c", _earn(rounds, pause)), env=place.environment)
    deadline = time.monotonic() + 90
    while earning.poll() is None or database.execute(UNSENT).fetchone()[0]:
        most = max(most, database.execute(BUSY).fetchone()[0])
        assert time.monotonic() < deadline, place.ask(STATES)
        time.sleep(0.02)
    assert earning.returncode == 0
    return most


def _earn(rounds: int, pause: float = 0) -> str:
    """Return code that lets every customer earn so many times, one after the other with such a pause, in seconds."""
    head = HEAD + "from nectorbridge.loyalty.models import *\nfrom nectorbridge.loyalty import services\n"
    return head + EARN.replace("ROUNDS", str(rounds)).replace("PAUSE", str(pause))


def test_the_limits_of_a_contract_hold_for_two_clusters_together(place, sandbox, tmp_path):
    set_up(place, ["contlo", "mailmodo"], 120)
    sandbox.limit("mailmodo", 10)
    sandbox.fault("contlo", "latency", seconds=0.5)
    environment = {"DELIVERY_WORKERS": "3", "DELIVERY_WORKERS_PER_INTEGRATION": "6"}
    with ExitStack() as stack:
        began = time.monotonic()
        assert place.ask(_earn(1)) == 240
        for name in ("one", "two"):
            stack.enter_context(machine(place, tmp_path / name, **environment).running("worker"))
        wait_for(lambda: place.ask(STATES) == {"sent": 240}, 150, "all sent")
        seconds = time.monotonic() - began
    contlo, mailmodo = sandbox.summary()["contlo"], sandbox.summary()["mailmodo"]
    assert 8 < contlo["in_flight_peak"] <= 24, "more than one worker's, no more than the contract's"
    moments = [datetime.fromisoformat(moment) for moment in place.ask(MOMENTS)]
    crowded = [1 for tenth, eleventh in zip(moments, moments[10:], strict=False) if (eleventh - tenth).total_seconds() < 1]
    assert not crowded, "of all workers' calls no more than ten have their moments within any second"
    # It turns away what is more than ten calls a second: on a starved machine what awakes, or arrives, too late for its moment.
    assert mailmodo["answers"].get("429", 0) * 10 <= mailmodo["calls"] and set(mailmodo["answers"]) <= {"200", "429"}
    assert seconds > mailmodo["calls"] / 10 - 1 > 11, "as slowly as that takes"
    for provider in ("contlo", "mailmodo"):
        assert set(sandbox.deliveries(provider).values()) == {1}


def test_a_limit_a_minute_holds_for_two_processes_together(place, sandbox):
    set_up(place, ["moengage"], 250)
    place.ask("Integration.objects.update(profiles_seen_until=None); print(1)")
    assert place.ask(_earn(1)) == 250
    command = place.command("shell", "--no-imports", "-c", HEAD + DRAIN_WITHIN_A_LIMIT.replace("PROCESSES", "2"))
    environment = place.environment | {"DELIVERY_WORKERS_PER_INTEGRATION": "2"}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    handled = [int(process.communicate(timeout=120)[0].split()[-1]) for process in both]
    assert all(handled), "both sent"
    assert sandbox.summary()["moengage"]["events"] == 150
    place.ask("Integration.objects.update(hold_until=None, minute_spent={}); print(1)")  # as after a minute
    place.ask(DRAIN_WITHIN_A_LIMIT.replace("PROCESSES", "1"))
    assert sandbox.summary()["moengage"]["events"] == 250 and place.ask(STATES) == {"sent": 250}
    assert set(sandbox.deliveries("moengage").values()) == {1}
