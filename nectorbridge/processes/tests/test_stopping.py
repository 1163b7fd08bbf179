"""SIGTERM under load: whatever is in flight is finished or given back within the grace, and nothing waits for a lease."""

from __future__ import annotations

import sys
import time

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.installation import STORE, installation, wait_for
from nectorbridge.testing.parts import postgres_missing, redis_missing

pytestmark = [pytest.mark.journey, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")]

LEASE = 90  # whoever waits for it is found out
SLOW = {"DELIVERY_LEASE_SECONDS": str(LEASE), "DELIVERY_HTTP_TIMEOUT_SECONDS": "10", "DELIVERY_SWEEP_SECONDS": "1"}
PEOPLE, LATENCY = 60, 4.0
SQLITE, POSTGRES = STORE

SET_UP = """
from nectorbridge.bench.world import ACCOUNTS
from django.utils import timezone
values, secrets, common = ACCOUNTS["PROVIDER"]
m = Merchant.objects.create(name="Acme", slug="acme", website="https://acme.example")
i = Integration(merchant=m, provider="PROVIDER", settings=values, common_property=common, enabled=True, status="active",
                initialized_at=timezone.now())
i.secrets = {name: "x" * 12 for name in secrets}
i.save()
EventDefinition.objects.create(integration=i, trigger="walletreward_create", name="Wallet Coins Rewarded")
for n in range(PEOPLE):
    Customer.objects.create(merchant=m, customer_id=f"c{n}", email=f"c{n}@example.com", name=f"N {n}")
print(1)
"""
EARN = "for c in Customer.objects.all():\n    services.credit(c, 10, 'Order')\nprint(1)"
LEFT = """
from collections import Counter
rows = EventDelivery.objects.all()
print(json.dumps({"states": Counter(rows.values_list("status", flat=True)), "open": Call.objects.filter(ended_at=None).count(),
                  "leased": rows.exclude(lease_owner="").count(), "failures": sum(rows.values_list("failure_count", flat=True)),
                  "uncertain": DeliveryAttempt.objects.filter(outcome="uncertain").count(),
                  "pushing": Integration.objects.exclude(push_leased_until=None).count()}))
"""


@pytest.fixture
def sandbox():
    with Sandbox.running() as running:
        yield running


def place_for(provider, sandbox, store, folder):
    if missing := store == "postgres" and (postgres_missing() or redis_missing()):
        pytest.skip(missing)
    return installation(store, folder, **{f"{provider.upper()}_BASE_URL": sandbox.url_of(provider)}, **SLOW)


def prepare(place, provider):
    place.ask(SET_UP.replace("PROVIDER", provider).replace("PEOPLE", str(PEOPLE)))


def stop(worker, grace):
    """Ask the worker to stop; return how long that took."""
    began = time.monotonic()
    worker.terminate()
    assert worker.wait(grace + 6) == 0
    return time.monotonic() - began


def under_way(place):
    return lambda: place.ask("print(json.dumps(Call.objects.filter(ended_at=None).count()))")


@pytest.mark.parametrize(
    ("store", "provider"),
    [(SQLITE, "clevertap"), (SQLITE, "contlo"), (SQLITE, "mailmodo"), (POSTGRES, "clevertap"), (POSTGRES, "wigzo")],
)
def test_sigterm_under_load_finishes_what_left_and_gives_back_the_rest(provider, store, sandbox, tmp_path):
    sandbox.fault(provider, "latency", seconds=LATENCY)
    with place_for(provider, sandbox, store, tmp_path) as place:
        prepare(place, provider)
        with place.running("worker", "--grace", "15") as worker:
            place.ask(EARN)
            wait_for(under_way(place), 30, "calls under way")
            assert stop(worker, 15) < 18, "the grace, and what signing off may take"
        left = place.ask(LEFT)
        assert set(left["states"]) <= {"queued", "retrying", "sent"}, left
        assert (left["open"], left["leased"], left["failures"], left["uncertain"]) == (0, 0, 0, 0)
        sandbox.clear_faults()
        with place.running("worker"):
            wait_for(lambda: place.ask(LEFT)["states"] == {"sent": PEOPLE}, 40, "the next worker starts at once")
        assert sandbox.deliveries(provider) and set(sandbox.deliveries(provider).values()) == {1}
        assert len(sandbox.deliveries(provider)) == PEOPLE


@pytest.mark.parametrize("store", [SQLITE])
def test_a_grace_shorter_than_the_provider_is_slow_hangs_up_and_writes_down_that_it_is_uncertain(store, sandbox, tmp_path):
    sandbox.fault("contlo", "latency", seconds=9.0)
    with place_for("contlo", sandbox, store, tmp_path) as place:
        prepare(place, "contlo")
        with place.running("worker", "--grace", "4") as worker:
            place.ask(EARN)
            wait_for(under_way(place), 30, "calls under way")
            assert stop(worker, 4) < 7
        left = place.ask(LEFT)
        assert set(left["states"]) <= {"queued", "retrying"} and left["uncertain"] > 0, left
        assert (left["open"], left["leased"], left["failures"]) == (0, 0, 0)
        sandbox.clear_faults()
        with place.running("worker"):
            wait_for(lambda: place.ask(LEFT)["states"] == {"sent": PEOPLE}, 40, "the next worker sends all of it")
        assert len(sandbox.deliveries("contlo")) == PEOPLE


@pytest.mark.parametrize("store", [POSTGRES])
def test_sigterm_in_the_middle_of_a_push_of_profiles_leaves_no_call_open_and_the_next_worker_goes_on(store, sandbox, tmp_path):
    sandbox.fault("contlo", "latency", seconds=LATENCY)
    with place_for("contlo", sandbox, store, tmp_path) as place:
        prepare(place, "contlo")
        place.ask("from events.syncing import start_sync\nstart_sync(Integration.objects.get())\nprint(1)")
        with place.running("worker", "--grace", "15") as worker:
            wait_for(under_way(place), 30, "calls under way")
            assert stop(worker, 15) < 18
        left = place.ask(LEFT)
        assert (left["open"], left["pushing"]) == (0, 0)
        sandbox.clear_faults()
        synced = "print(json.dumps(Contact.objects.filter(status='synced').count()))"
        with place.running("worker"):
            wait_for(lambda: place.ask(synced) == PEOPLE, 40, "the next worker pushes the rest")
