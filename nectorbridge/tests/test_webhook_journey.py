"""From a signed webhook of Nector's to each of the five providers, and back as a click: real processes, real sockets."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import sys

import pytest
import requests

from nectorbridge.sandbox import Sandbox
from nectorbridge.testing.installation import installation, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")]
PROVIDERS = ("moengage", "clevertap", "wigzo", "mailmodo", "contlo")
SECRET = "CANARY-webhook-secret"
SET_UP = f"""
from nectorbridge.bench.world import ACCOUNTS
m = Merchant.objects.create(name="Acme", slug="acme", website="https://acme.example", timezone="Asia/Kolkata")
m.nector_webhook_secret = {SECRET!r}
m.nector_hmac_mode = "enforce"
m.save()
found = []
for provider, (settings, secrets, common) in ACCOUNTS.items():
    i = Integration.objects.create(merchant=m, provider=provider, common_property=common, settings=settings,
                                   secrets={{name: "CANARY-KEY-1234567890-" + name for name in secrets}})
    for trigger in ("walletreward_create", "milestone_reached"):
        EventDefinition.objects.create(integration=i, trigger=trigger, threshold=100)
    r = i.initialize()
    found.append([provider, r.ok, r.reason])
print(json.dumps([m.nector_webhook_token, found]))
"""
STATES = "from collections import Counter\nprint(json.dumps(Counter(EventDelivery.objects.values_list('status', flat=True))))"
CLICKS = "print(json.dumps(Engagement.objects.filter(kind='click').values('delivery').distinct().count()))"
REASONS = "print(json.dumps(sorted(EventDelivery.objects.filter(status='skipped').values_list('reason', flat=True))))"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def webhook(amount: int, number: int) -> bytes:
    """Return the body of a webhook about coins, in Nector's shape."""
    body = {
        "_id": f"tx-{number}",
        "amount": str(amount),
        "operation": "cr",
        "status": "success",
        "title": f"Order #{number}",
        "created_at": "2026-11-20T09:30:00.000Z",
        "customer": {"id": "shopify-70781920156", "email": "asha@example.com", "mobile": "9876543210", "country": "ind"},
    }
    return json.dumps(body).encode()


def test_coins_earned_at_nector_reach_all_five_providers_and_come_back_as_clicks(store, tmp_path):
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    with Sandbox.running() as sandbox:
        urls = {f"{slug.upper()}_BASE_URL": sandbox.url_of(slug) for slug in PROVIDERS}
        with installation(store, tmp_path, PUBLIC_URL=site, **urls) as place:
            token, connected = place.ask(SET_UP)
            assert [ok for _provider, ok, _reason in connected] == [True] * 5, connected
            with place.running("up", "--port", str(port)):
                wait_for(lambda: _is_up(site), 40, "the site to answer")

                def send(raw: bytes, number: int, secret: str = SECRET) -> int:
                    headers = {
                        "Content-Type": "application/json",
                        "x-source": "web",
                        "x-nector-topic": "walletreward_create",
                        "x-nector-delivery-id": f"d{number}",
                        "x-nector-webhook-secret": hashlib.sha256(secret.encode()).hexdigest(),
                        "x-nector-webhook-hmac": hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest(),
                    }
                    return requests.post(f"{site}/webhooks/nector/{token}/", data=raw, headers=headers, timeout=10).status_code

                assert send(webhook(120, 1), 1, "wrong") == 401
                assert [send(webhook(120, 1), number) for number in (1, 1, 2)] == [200] * 3, "twice, and under another ID"
                wait_for(lambda: place.ask(STATES) == {"sent": 10}, 60, "coins and milestone to be sent to all five")
                links = [_links(sandbox, slug) for slug in PROVIDERS]
                assert [len(found) for found in links] == [2] * 5
                for link in [link for found in links for link in found]:
                    answer = requests.get(link, allow_redirects=False, timeout=10)
                    assert (answer.status_code, answer.headers["Location"]) == (302, "https://acme.example")
                wait_for(lambda: place.ask(CLICKS) == 10, 20, "the clicks to be counted")

                place.ask("print(json.dumps(str(services.set_consent(Customer.objects.get(), 'email', 'unsubscribed'))))")
                assert send(webhook(10, 3), 3) == 200
                wait_for(lambda: place.ask(REASONS) == ["no_consent"] * 5, 40, "the five to be left out")
            assert place.ask(STATES) == {"sent": 10, "skipped": 5}
            assert "CANARY" not in place.log("up") and "asha@example.com" not in place.log("up")


def _is_up(site: str) -> bool:
    try:
        return requests.get(f"{site}/healthz", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def _links(sandbox: Sandbox, slug: str) -> set[str]:
    """Return the click addresses that arrived at a provider."""
    events = [arrived for arrived in sandbox.arrived(slug) if arrived.delivery]
    return {link for arrived in events for link in re.findall(r"http://[^\"\s]+/t/c/[\w-]+", json.dumps(arrived.record))}
