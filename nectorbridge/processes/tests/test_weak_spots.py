"""django-q2's weak spots that are not about a killed process of its own, each provoked in a real cluster.

Killed workers, monitor, pusher, sentinel, main process and supervisor: `test_journeys`. All of it at once: `manage.py chaos`.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from nectorbridge.chaos.servers import Redis, free_port
from nectorbridge.processes.tests.installation import Cluster, children
from nectorbridge.processes.tests.weak import POISON
from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.installation import STORE, installation, wait_for
from nectorbridge.testing.parts import postgres_missing, redis_missing

pytestmark = [pytest.mark.journey, pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")]

SQLITE, POSTGRES = STORE
QUICK = {
    "DJANGO_SETTINGS_MODULE": "nectorbridge.processes.tests.weak",
    "DELIVERY_LEASE_SECONDS": "2",
    "DELIVERY_HTTP_TIMEOUT_SECONDS": "1",
    "DELIVERY_SWEEP_SECONDS": "0.5",
    "DELIVERY_WORKERS": "2",
    "WORKER_STALL_SECONDS": "3",
}
SET_UP = """
from django.utils import timezone
m = Merchant.objects.create(name="Acme", slug="acme", website="https://acme.example")
i = Integration(merchant=m, provider="clevertap", settings={"account_id": "TEST-1", "server_prefix": "in1"}, enabled=True,
                status="active", initialized_at=timezone.now())
i.secrets = {"private_api_key": "x" * 12}
i.save()
EventDefinition.objects.create(integration=i, trigger="walletreward_create", name="Wallet Coins Rewarded")
for n in range(40):
    Customer.objects.create(merchant=m, customer_id=f"c{n}", email=f"c{n}@example.com", name=f"N {n}")
print(1)
"""
EARN = (
    "for n, c in enumerate(Customer.objects.order_by('pk')):\n    services.credit(c, 10, 'Order' if n != 7 else TITLE)\nprint(1)"
)
STATES = "from collections import Counter\nprint(json.dumps(Counter(EventDelivery.objects.values_list('status', flat=True))))"


@pytest.fixture
def sandbox():
    with Sandbox.running() as running:
        yield running


@pytest.fixture
def place(request, sandbox, tmp_path):
    store = getattr(request, "param", SQLITE)
    if missing := store == POSTGRES and (postgres_missing() or redis_missing()):
        pytest.skip(missing)
    with ExitStack() as stack:
        mine = {"CLEVERTAP_BASE_URL": sandbox.url_of("clevertap")}
        if store == POSTGRES:  # a Redis of its own: what is in its queue is this test's
            bell = Redis(tmp_path, free_port())
            stack.callback(bell.end)
            bell.start()
            mine["REDIS_URL"] = f"redis://127.0.0.1:{bell.port}/0"
        outside = stack.enter_context(installation(store, tmp_path, **QUICK, **mine))
        outside.ask(SET_UP)
        yield outside


def earn(place, title="Order"):
    place.ask(EARN.replace("TITLE", repr(title)))


@pytest.mark.parametrize("place", [SQLITE, POSTGRES], indirect=True)
def test_a_delivery_that_kills_its_worker_each_time_is_isolated_and_given_up_and_all_others_are_sent(place, sandbox):
    earn(place, POISON)
    with place.running("worker"):
        done = {"sent": 39, "failed": 1}
        wait_for(lambda: place.ask(STATES) == done, 90, "the culprit to be given up")
        earn(place)
        wait_for(lambda: place.ask(STATES) == {"sent": 79, "failed": 1}, 30, "the queue to go on")
    fatal = place.ask(
        "row = EventDelivery.objects.get(status='failed')\n"
        "said = [row.reason, row.lost_claims, row.payload['title'], row.attempt_count]\n"
        "print(json.dumps([*said, Call.objects.filter(ended_at=None).count()]))"
    )
    assert fatal == ["internal", 6, POISON, 0, 0]
    assert set(sandbox.deliveries("clevertap").values()) == {1} and len(sandbox.deliveries("clevertap")) == 79


def test_task_processes_stuck_in_threads_beyond_their_time_are_replaced_and_the_queue_goes_on(place, sandbox):
    stuck = "nectorbridge.processes.tests.weak.stuck_in_threads"
    again = f"for _ in range(2): async_task('{stuck}', 600, q_options={{'timeout': 2}})"
    ask = f"from django_q.tasks import async_task\n{again}\nprint(1)"
    with place.running("worker") as worker:
        wait_for(lambda: place.ask("print(json.dumps(Worker.objects.filter(canary_at__isnull=False).count()))"), 30, "a cluster")
        cluster = Cluster(worker)
        place.ask(ask)
        wait_for(lambda: not set(cluster.workers) & set(children(cluster.sentinel)), 40, "both task processes to be replaced")
        earn(place)
        wait_for(lambda: place.ask(STATES) == {"sent": 40}, 30, "the queue to go on")


@pytest.mark.parametrize("place", [SQLITE, POSTGRES], indirect=True)
def test_tasks_that_are_lost_cost_a_sweep_and_doubled_ones_send_nothing_twice(place, sandbox):
    earn(place)
    lose = """
from django.conf import settings
from django_q.models import OrmQ
if settings.REDIS_URL:
    import redis
    print(json.dumps(redis.Redis.from_url(settings.REDIS_URL).delete("django_q:nectorbridge:q")))
else:
    print(json.dumps(OrmQ.objects.all().delete()[0]))
"""
    assert place.ask(lose) >= 1, "the bell had been rung, and nobody hears it any more"
    with place.running("worker"):
        wait_for(lambda: place.ask(STATES) == {"sent": 40}, 30, "the sweep to ring again")
        earn(place)
        again = "for _ in range(30): async_task('events.tasks.drain', Integration.objects.get().pk)"
        place.ask(f"from django_q.tasks import async_task\n{again}\nprint(1)")
        wait_for(lambda: place.ask(STATES) == {"sent": 80}, 30, "all sent")
    assert len(sandbox.deliveries("clevertap")) == 80 and set(sandbox.deliveries("clevertap").values()) == {1}
    calls = place.ask(
        "from collections import Counter\nprint(json.dumps(Counter(Call.objects.values_list('outcome', flat=True))))"
    )
    assert set(calls) == {"accepted"}


@pytest.mark.parametrize("place", [POSTGRES], indirect=True)
def test_a_wallet_change_that_is_rolled_back_leaves_no_ghost_in_redis(place, sandbox):
    code = """
import redis
from django.conf import settings
from django.db import transaction
queue = redis.Redis.from_url(settings.REDIS_URL)
queue.delete("django_q:nectorbridge:q")
try:
    with transaction.atomic():
        services.credit(Customer.objects.first(), 10, "Order")
        raise KeyError
except KeyError:
    pass
after = [EventDelivery.objects.count(), queue.llen("django_q:nectorbridge:q")]
services.credit(Customer.objects.first(), 10, "Order")
print(json.dumps([*after, EventDelivery.objects.count(), queue.llen("django_q:nectorbridge:q")]))
"""
    assert place.ask(code) == [0, 0, 1, 1]
