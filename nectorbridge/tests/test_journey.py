"""Journeys: a wallet change travels through a real cluster process to a real sandbox, and through faults and kills."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.installation import installation, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")]

SET_UP = """
m = Merchant.objects.create(name="Acme", slug="acme", website="https://acme.example")
i = Integration.objects.create(merchant=m, provider="clevertap", settings={"account_id": "TEST-1", "server_prefix": "in1"},
                               secrets={"private_api_key": "CANARY-PASSCODE-42"})
EventDefinition.objects.create(integration=i, trigger="walletreward_create", name="Wallet Coins Rewarded")
EventDefinition.objects.create(integration=i, trigger="coupon_create", name="Coupon Is Created")
for n in range(20):
    Customer.objects.create(merchant=m, customer_id=f"c{n}", email=f"c{n}@example.com", name=f"N {n}")
r = i.initialize()
print(json.dumps([r.ok, r.detail]))
"""
STATES = "from collections import Counter\nprint(json.dumps(Counter(EventDelivery.objects.values_list('status', flat=True))))"
LEDGER = "from nectorbridge.loyalty import ledger\nprint(json.dumps(ledger.unbalanced().count()))"


EARN = """
for n in range(ROUNDS):
    for customer in Customer.objects.all():
        services.credit(customer, 10 + n, "Order", portal="online_store")
print(json.dumps(EventDelivery.objects.count()))
"""


def credits(rounds: int) -> str:
    return EARN.replace("ROUNDS", str(rounds))


@pytest.fixture
def sandbox():
    with Sandbox.running() as running:
        yield running


@pytest.fixture
def place(request, store, sandbox, tmp_path):
    timing = getattr(request, "param", {})
    with installation(store, tmp_path, CLEVERTAP_BASE_URL=sandbox.url_of("clevertap"), **timing) as outside:
        yield outside


def all_sent(place, wanted: int):
    return lambda: place.ask(STATES) == {"sent": wanted}


def test_coins_and_coupons_reach_the_provider_through_a_real_cluster(place, sandbox):
    ok, detail = place.ask(SET_UP)
    assert ok and "TEST-1" in detail
    with place.running("worker"):
        assert place.ask(credits(2)) == 40
        place.ask("services.create_coupon(Customer.objects.first(), 'X', 'percent', 10); print(1)")
        wait_for(all_sent(place, 41), 40, "all sent")
    events = [a for a in sandbox.arrived("clevertap") if a.kind == "event"]
    profiles = [a for a in sandbox.arrived("clevertap") if a.kind == "profile"]
    assert len(events) == 41 and len({a.delivery for a in events}) == 41
    assert len(profiles) == 20, "each profile once: none of them changed"
    assert place.ask(LEDGER) == 0
    order = {}
    for arrived in events:
        order.setdefault(arrived.identity, []).append(arrived.delivery)
    assert all(ids == sorted(ids) for ids in order.values()), "each customer's events in recorded order"
    dump = place.ask("print(json.dumps([[c.request, c.response] for c in Call.objects.all()]))")
    assert "CANARY" not in str(dump) + place.log("worker")


def test_an_outage_and_a_refusal_of_credentials_lose_nothing(place, sandbox):
    place.ask(SET_UP)
    sandbox.fault("clevertap", "status", status=503, times=3)
    with place.running("worker"):
        place.ask(credits(1))
        wait_for(all_sent(place, 20), 40, "all sent after the outage")
        sandbox.fault("clevertap", "status", status=401)
        place.ask(credits(1))
        wait_for(lambda: place.ask(STATES) == {"sent": 20, "held": 20}, 30, "the queue is held")
        sandbox.clear_faults("clevertap")
        assert place.ask("i = Integration.objects.get(); r = i.initialize(); print(json.dumps(r.ok))")
        wait_for(all_sent(place, 40), 30, "the queue flows again by itself")
    assert len(sandbox.deliveries("clevertap")) == 40
    assert set(sandbox.deliveries("clevertap").values()) == {1}


LONG_CALLS = {"DELIVERY_HTTP_TIMEOUT_SECONDS": "12", "DELIVERY_LEASE_SECONDS": "15", "WORKER_STALL_SECONDS": "15"}


@pytest.mark.parametrize("place", [LONG_CALLS], indirect=True, ids=[""])
def test_kill_9_of_the_worker_in_the_middle_of_a_call_loses_nothing_and_says_what_is_uncertain(place, sandbox):
    place.ask(SET_UP)
    under_way = "print(json.dumps(Call.objects.filter(ended_at=None).count()))"
    sandbox.fault("clevertap", "latency", seconds=10, path="upload", times=1)
    with place.running("worker") as first:
        place.ask(credits(1))
        wait_for(lambda: place.ask(under_way), 40, "a call under way")
        os.kill(first.pid, signal.SIGKILL)
    assert place.ask(under_way), "it was killed in the middle of it"
    with place.running("worker"):
        wait_for(all_sent(place, 20), 90, "the next start recovers")
    times = sandbox.deliveries("clevertap")
    uncertain = set(
        place.ask("print(json.dumps([str(a.delivery_id) for a in DeliveryAttempt.objects.filter(outcome='uncertain')]))")
    )
    assert len(times) == 20, "nothing lost"
    assert {delivery for delivery, count in times.items() if count > 1} <= uncertain, "each duplicate was known beforehand"


def test_answers_that_get_lost_are_uncertain_and_carry_the_same_id_when_sent_again(place, sandbox):
    place.ask(SET_UP)
    sandbox.fault("clevertap", "drop_after_accept", path="upload", times=1)
    with place.running("worker"):
        place.ask(credits(1))
        wait_for(all_sent(place, 20), 40, "all sent")
    times = sandbox.deliveries("clevertap")
    uncertain = place.ask("print(json.dumps(DeliveryAttempt.objects.filter(outcome='uncertain').count()))")
    assert len(times) == 20 and sum(count - 1 for count in times.values()) == uncertain > 0
