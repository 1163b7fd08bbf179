"""A journey through an outage: the breaker opens, outlives the worker, lets one event look, and lets everything flow again."""

from __future__ import annotations

import sys
import time

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.installation import installation, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")]

SET_UP = """
for slug, provider, values, secret in [
    ("away", "clevertap", {"account_id": "TEST-1", "server_prefix": "in1"}, "private_api_key"),
    ("well", "contlo", {"app_installed": True}, "private_api_key"),
]:
    m = Merchant.objects.create(name=slug, slug=slug, website="https://acme.example")
    i = Integration.objects.create(merchant=m, provider=provider, settings=values, secrets={secret: "CANARY"},
                                   common_property="email")
    EventDefinition.objects.create(integration=i, trigger="walletreward_create", name="wallet_reward")
    for n in range(30):
        Customer.objects.create(merchant=m, customer_id=f"c{n}", email=f"c{n}@example.com", name=f"N {n}")
    i.initialize()
print(1)
"""
EARN = "[services.credit(c, 10, 'Order') for c in Customer.objects.filter(merchant__slug='SLUG')]; print(1)"
STATE = """
from events import breaker
i = Integration.objects.get(provider="clevertap")
print(json.dumps([breaker.state(i).value, i.breaker_trips]))
"""
COUNTS = """
from collections import Counter
rows = EventDelivery.objects.filter(merchant__slug="SLUG")
print(json.dumps([dict(Counter(rows.values_list("status", flat=True))), sum(rows.values_list("attempt_count", flat=True))]))
"""


@pytest.fixture
def sandbox():
    with Sandbox.running() as running:
        yield running


@pytest.fixture
def place(store, sandbox, tmp_path):
    addresses = {f"{slug.upper()}_BASE_URL": sandbox.url_of(slug) for slug in ("clevertap", "contlo")}
    timing = {"DELIVERY_HTTP_TIMEOUT_SECONDS": "1", "DELIVERY_BREAKER_STEPS": "6,3,1", "DELIVERY_WORKERS": "2"}
    with installation(store, tmp_path, **addresses, **timing) as outside:
        yield outside


def counts(place, slug):
    states, tries = place.ask(COUNTS.replace("SLUG", slug))
    return states, tries


def test_an_outage_costs_few_tries_outlives_a_restart_disturbs_nobody_and_ends_by_itself(place, sandbox):
    place.ask(SET_UP)
    sandbox.fault("clevertap", "latency", seconds=2, path="upload")
    sandbox.fault("clevertap", "status", status=503, path="upload")
    with place.running("worker"):
        place.ask(EARN.replace("SLUG", "away"))
        wait_for(lambda: place.ask(STATE)[0] != "closed", 40, "the breaker opens")
        place.ask(EARN.replace("SLUG", "well"))
        wait_for(lambda: counts(place, "well")[0] == {"sent": 30}, 30, "the neighbour is sent for meanwhile")
    state, trips = place.ask(STATE)
    assert state in ("open", "half_open") and trips >= 1
    with place.running("worker"):
        wait_for(lambda: place.ask(STATE)[1] > trips, 40, "the next look, by a new worker, fails as well")
        states, tries = counts(place, "away")
        assert sum(states.values()) == 30 and "failed" not in states and tries <= 30 + 2 + place.ask(STATE)[1], (states, tries)
        calls = sandbox.summary()["clevertap"]["calls"]
        time.sleep(1)
        assert sandbox.summary()["clevertap"]["calls"] <= calls + 1, "one look at a time"
        sandbox.clear_faults("clevertap")
        wait_for(lambda: counts(place, "away")[0] == {"sent": 30}, 60, "all sent by itself")
    assert place.ask(STATE) == ["closed", 0]
