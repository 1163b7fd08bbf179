"""A real cluster at DEBUG level through every kind of fault: each of its lines is JSON, and none has anything of a person."""

from __future__ import annotations

import json

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.installation import STORE, installation, wait_for
from nectorbridge.testing.parts import postgres_missing, redis_missing

pytestmark = pytest.mark.journey

PASSCODE = "CANARY-PASSCODE-42"
SET_UP = """
m = Merchant.objects.create(name="Acme", slug="acme", website="https://acme.example")
i = Integration.objects.create(merchant=m, provider="clevertap", settings={"account_id": "TEST-1", "server_prefix": "in1"},
                               secrets={"private_api_key": "CANARY-PASSCODE-42"})
EventDefinition.objects.create(integration=i, trigger="walletreward_create", name="Wallet Coins Rewarded")
for n in range(5):
    Customer.objects.create(merchant=m, customer_id=f"CUSTPLANT{n}", email=f"planted.asha{n}@mail.example.org",
                            name=f"Ashaplanted{n} Rao", phone=f"+91987650{n}234")
print(json.dumps(i.initialize().ok))
"""
EARN = """
for customer in Customer.objects.all():
    services.credit(customer, 10, "Order of Ashaplanted", portal="online_store")
print(1)
"""
FAIL = """
from django_q.tasks import async_task
for function in ("builtins.int", "nowhere.at_all"):
    async_task(function, "Ashaplanted0 Rao planted.asha0@mail.example.org", q_options={"ack_failure": True})
print(1)
"""
STATES = "from collections import Counter\nprint(json.dumps(Counter(EventDelivery.objects.values_list('status', flat=True))))"
FORBIDDEN = ("Ashaplanted", "planted.asha", "CUSTPLANT", "98765", PASSCODE)


@pytest.mark.parametrize("store", list(STORE))
def test_a_cluster_at_debug_level_writes_json_alone_and_nothing_of_a_person(store, tmp_path):
    if store == "postgres" and (missing := postgres_missing() or redis_missing()):
        pytest.skip(missing)
    with Sandbox.running() as sandbox:
        given = {"CLEVERTAP_BASE_URL": sandbox.url_of("clevertap"), "LOG_LEVEL": "DEBUG"}
        with installation(store, tmp_path, **given) as outside:
            assert outside.ask(SET_UP) is True
            sandbox.fault("clevertap", "status", status=503, path="upload", times=1)
            sandbox.fault("clevertap", "drop_after_accept", path="upload", times=1)
            with outside.running("worker"):
                outside.ask(EARN)
                outside.ask(FAIL)
                wait_for(lambda: outside.ask(STATES) == {"sent": 5}, 40, "all sent")
                wait_for(lambda: outside.log("worker").count("\"Failed '") == 2, 20, "both failures")
                sandbox.fault("clevertap", "status", status=401)
                outside.ask(EARN)
                wait_for(lambda: outside.ask(STATES) == {"sent": 5, "held": 5}, 30, "held")
            told = outside.log("worker")
            secrets = [outside.environment[name] for name in ("SECRET_KEY", "FERNET_KEYS")]
            entries = [json.loads(line) for line in told.splitlines()]
            held = outside.ask("print(json.dumps(Integration.objects.get().pk))")
    assert {"django-q", "urllib3.connectionpool", "events.pause"} <= {entry["logger"] for entry in entries}
    assert {"DEBUG", "INFO", "WARNING", "ERROR"} <= {entry["level"] for entry in entries}
    assert any(entry.get("integration") == held for entry in entries if entry["logger"] == "events.pause")
    assert [word for word in (*FORBIDDEN, *secrets) if word in told] == []
