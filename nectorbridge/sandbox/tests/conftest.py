"""A sandbox on a port of the system's choice, and a client that speaks CleverTap to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from nectorbridge.sandbox import Sandbox

TIMEOUT_SECONDS = 10


class Client:
    """Uploads records and checks credentials, over one keep-alive connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.headers = {"X-CleverTap-Account-Id": "TEST-000-000-000", "X-CleverTap-Passcode": "AAA-AAA-AAAA"}

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        options.setdefault("timeout", TIMEOUT_SECONDS)
        return self.session.request(method, self.sandbox.url_of("clevertap") + path, headers=headers, **options)

    def send(self, body: bytes | str, query: str = "", **options: Any) -> requests.Response:
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        return self.call("POST", f"/1/upload{query}", data=body, headers=headers, **options)

    def upload(self, *records: Any, query: str = "", **options: Any) -> requests.Response:
        return self.send(json.dumps({"d": records}), query, **options)

    def connect(self, query: str = "?partner=nector", **options: Any) -> requests.Response:
        return self.call("GET", f"/v1/connect{query}", **options)

    def own(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call one of the sandbox's own addresses."""
        return self.session.request(method, self.sandbox.url + path, timeout=TIMEOUT_SECONDS, **options)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running() as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return Client(sandbox)


def event(delivery: str = "dlv_01", **changes: Any) -> dict[str, Any]:
    """Return an event record; a change to None leaves the field out."""
    record = {
        "type": "event",
        "identity": "6937201",
        "evtName": "Wallet Coins Rewarded",
        "ts": 1786634590,
        "evtData": {"nector_delivery_id": delivery, "coins": 50},
        **changes,
    }
    return {key: value for key, value in record.items() if value is not None}


def profile(**data: Any) -> dict[str, Any]:
    """Return a profile record with this data."""
    return {"type": "profile", "identity": "6937201", "profileData": data}
